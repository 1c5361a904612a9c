"""What substrates can do beside raising hosts, by name: faults say what they need, and are refused
with its name where it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.substrates.base import (
    ClockSettable,
    CrashLoopable,
    Cuttable,
    DcsRestorable,
    DiskBreakable,
    DiskEditable,
    Filterable,
    Flappable,
    Haltable,
    Killable,
    Probing,
    ProcessKillable,
    ProcessSteerable,
    SiteCuttable,
    Slowable,
    Wipeable,
)

ABILITIES: Mapping[str, type] = {
    "kill-host": Killable,
    "cut-link": Cuttable,
    "cut-site": SiteCuttable,
    "kill-process": ProcessKillable,
    "steer-processes": ProcessSteerable,
    "crash-loop": CrashLoopable,
    "wipe-data": Wipeable,
    "halt-unit": Haltable,
    "edit-disk": DiskEditable,
    "restore-etcd": DcsRestorable,
    "drop-packets": Filterable,
    "send-probes": Probing,
    "flap-link": Flappable,
    "break-disk": DiskBreakable,
    "set-clock": ClockSettable,
    "slow-link": Slowable,
}


def missing_abilities(substrate: object, needed: Sequence[str]) -> list[str]:
    """Those of ``needed`` (keys of ``ABILITIES``) that the substrate does not have."""
    return [name for name in needed if not isinstance(substrate, ABILITIES[name])]


def inability(substrate: object, missing: Sequence[str]) -> str:
    """What a substrate cannot do, with its reasons where it gives some (``unable``)."""
    reasons: Mapping[str, str] = getattr(substrate, "unable", {})
    why = [f"{name}: {reasons[name]}" for name in missing if name in reasons]
    words = f"this substrate cannot {', '.join(missing)}"
    return f"{words} ({'; '.join(why)})" if why else words


def name_of_ability(ability: type) -> str:
    """The key of an ability in ``ABILITIES``."""
    return next(name for name, known in ABILITIES.items() if known is ability)
