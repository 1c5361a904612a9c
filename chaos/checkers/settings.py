"""Whether the settings that were asked for were in force when the drill began.

Two ways to be wrong, two verdicts:

- The cluster protected less than was asked: INVALID. Quorum commit was asked for, and commits did
  not wait for any replica. That is a fault of the cluster under test, and the one that costs data:
  that no entry was lost this time is luck.
- The cluster had other settings than were asked, but none that protects less: UNKNOWN. The drill
  measured something, only not what its report says.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.evidence.records import Event, Scalar
from chaos.evidence.run import Run
from chaos.verdict import Finding, FindingKind, Verdict

TIMINGS = ("ttl_s", "loop_wait_s", "retry_timeout_s")

_OFF = frozenset({"off", "false", "none", "null", ""})
"""How ``synchronous_mode`` is written when it is off: YAML's, Python's and Patroni's ways."""

Evidence = dict[str, Scalar]


def check(run: Run) -> list[Finding]:
    """Holds what was found just before the steady state against what ``run.json`` asks."""
    events = run.events_of("settings")
    if not events:
        return []
    found = events[-1]
    findings = []
    weaker, other = _durability(run, found)
    others = [*_timings(run, found), *other]
    if weaker:
        findings.append(
            Finding(
                kind=FindingKind.SETTINGS_NOT_IN_FORCE,
                verdict=Verdict.INVALID,
                summary="Quorum commit was asked for and was not in force: commits waited for no "
                "replica.",
                evidence=tuple(weaker),
            )
        )
    if others:
        findings.append(
            Finding(
                kind=FindingKind.SETTINGS_NOT_IN_FORCE,
                verdict=Verdict.UNKNOWN,
                summary="Other settings were in force than were asked for: "
                + ", ".join(f"{one['setting']} {one['in_force']}" for one in others)
                + ".",
                evidence=tuple(others),
            )
        )
    return findings


def _timings(run: Run, found: Event) -> Iterator[Evidence]:
    """The timings that were asked for and are not what ruled."""
    for name in TIMINGS:
        asked = run.info.settings.get(name)
        if asked is not None and found.fields.get(name) != asked:
            yield _evidence(name, asked, found.fields.get(name))


def _durability(run: Run, found: Event) -> tuple[list[Evidence], list[Evidence]]:
    """What is weaker than asked, and what is merely other than asked."""
    asked = run.info.settings.get("durability")
    if asked is None:
        return [], []
    names = str(found.fields.get("synchronous_standby_names") or "")
    mode = str(found.fields.get("synchronous_mode") or "").lower()
    both = [
        _evidence("synchronous_mode", asked, mode or None),
        _evidence("synchronous_standby_names", asked, names or None),
    ]
    if asked == "quorum":
        if mode in _OFF or not names:
            return both, []
        return [], [] if mode == "quorum" else both[:1]
    # Asynchronous was asked for: a commit that waits all the same was measured with other latency,
    # and lost less than it would have.
    return [], [] if mode in _OFF and not names else both


def _evidence(setting: str, asked: Scalar, in_force: Scalar) -> Evidence:
    return {
        "setting": setting,
        "asked": asked,
        "in_force": "not on record" if in_force is None else in_force,
    }
