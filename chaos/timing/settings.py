"""Numbers of the settings: what was found in force comes before what was asked."""

from __future__ import annotations

from chaos.evidence.run import Run


def number_in_force(run: Run, name: str) -> float | None:
    """A setting as a number: from the last ``settings`` event that has it, else from ``run.json``.

    Patroni raises a ``ttl`` below 20 to 20 (patroni/config.py), so that what was asked is not
    always what ruled.
    """
    found = [event.fields[name] for event in run.events_of("settings") if name in event.fields]
    for value in (*reversed(found), run.info.settings.get(name)):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def commits_wait_for_standby(run: Run) -> bool:
    """Whether a commit was acknowledged only when a standby had it.

    Goes by what was found in force, else by what was asked for.
    """
    for event in reversed(run.events_of("settings")):
        if "synchronous_standby_names" in event.fields:
            return bool(event.fields["synchronous_standby_names"])
    return run.info.settings.get("durability") != "async"
