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

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import SettingsFound
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict

SETTINGS_NOT_IN_FORCE = FindingKind(
    word="settings-not-in-force",
    meaning="INVALID: quorum commit was asked for, and commits waited for no replica. UNKNOWN: "
    "other settings were in force than were asked for, but none that protects less.",
    heading="Settings that were not in force",
    proved="commits were not protected as was asked for",
    undecided="other settings were in force than were asked for",
)

TIMINGS = ("ttl_s", "loop_wait_s", "retry_timeout_s")

_OFF = frozenset({"off", "false", "none", "null", ""})
"""How ``synchronous_mode`` is written when it is off: YAML's, Python's and Patroni's ways."""


def check(run: Run) -> list[Finding]:
    """Compares what was found just before the steady state with what ``run.json`` asks."""
    events = run.events_of(SettingsFound)
    if not events:
        return []
    found = events[-1]
    findings = []
    weaker, other = _durability(run, found)
    others = [*_timings(run, found), *other]
    if weaker:
        findings.append(
            Finding(
                kind=SETTINGS_NOT_IN_FORCE,
                verdict=Verdict.INVALID,
                summary="Quorum commit was asked for and was not in force: commits waited for no "
                "replica.",
                evidence=tuple(weaker),
            )
        )
    if others:
        findings.append(
            Finding(
                kind=SETTINGS_NOT_IN_FORCE,
                verdict=Verdict.UNKNOWN,
                summary="Other settings were in force than were asked for: "
                + ", ".join(f"{one['setting']} {one['in_force']}" for one in others)
                + ".",
                evidence=tuple(others),
            )
        )
    return findings


def _timings(run: Run, found: SettingsFound) -> Iterator[Evidence]:
    """The timings that were asked for and are not what ruled."""
    for name in TIMINGS:
        asked = run.info.settings.get(name)
        if asked is not None and found.in_force.get(name) != asked:
            yield _evidence(name, asked, found.in_force.get(name))


def _durability(run: Run, found: SettingsFound) -> tuple[list[Evidence], list[Evidence]]:
    """What is weaker than asked, and what is merely other than asked."""
    asked = run.info.settings.get("durability")
    if asked is None:
        return [], []
    names = found.synchronous_standby_names or ""
    mode = (found.synchronous_mode or "").lower()
    both = [
        _evidence("synchronous_mode", asked, mode or None),
        _evidence("synchronous_standby_names", asked, names or None),
    ]
    if asked == "quorum":
        if mode in _OFF or not names:
            return both, []
        wanted = run.info.settings.get("synchronous_mode", "quorum")
        return [], [] if mode in ({"on", "true"} if wanted == "on" else {"quorum"}) else both[:1]
    # Asynchronous was asked for: a commit that waits anyway was measured with other latency,
    # and lost less than it would have.
    return [], [] if mode in _OFF and not names else both


def _evidence(setting: str, asked: Scalar, in_force: Scalar) -> Evidence:
    return {
        "setting": setting,
        "asked": asked,
        "in_force": "not on record" if in_force is None else in_force,
    }


CHECKER = Checker(
    name="settings",
    question="What was asked for was in force.",
    check=check,
    finds=(SETTINGS_NOT_IN_FORCE,),
    needs=(needs.settings_found,),
)
