"""Words and numbers for readers: names of faults, and how figures are written."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.evidence.history import DIRECT_PER_S
from chaos.evidence.run import Manifest
from chaos.faults.registry import FAULTS
from chaos.findings import Verdict
from chaos.judge.verdict_file import ThroughProxy
from chaos.timing import Prediction
from chaos.timing.load import unserved_s_min
from chaos.wording import counted, joined
from cluster.topology.proxies import PROXY_NAMES

VERDICT_SYMBOL = {Verdict.VALID: "✓", Verdict.UNKNOWN: "?", Verdict.INVALID: "✕"}

MANIFEST_PROBLEMS_SHOWN = 3
"""The whole list is among the findings."""

SHARED_WORDS = {
    Verdict.VALID: "each applied once at most",
    Verdict.UNKNOWN: "not known whether each was applied once",
    Verdict.INVALID: "not each applied once",
}
"""Of units of work that two sites sent, by the verdict of their checker."""

_PHASES = {
    "fault_to_leader_key_gone": "Fault → leader key gone",
    "to_decision_by_hand": "Until an operator decided",
    "to_new_leader_key": "Leader key gone → new leader key",
    "to_promoted": "New leader key → promoted",
    "to_first_acknowledged": "Promoted → first acknowledged write",
}

_ROLE_WORDS = {
    "postgres": "PostgreSQL",
    "etcd": "etcd",
    "client": "load",
    "haproxy": "HAProxy",
    "pgbouncer": "PgBouncer",
}


def fault_words(fault: str, targets: Sequence[str]) -> str:
    """A fault in few words: ``power cut: db-paris``."""
    return f"{fault_name(fault)}: {', '.join(targets)}"


def heal_words(fault: str, targets: Sequence[str]) -> str:
    """The undoing of a fault in few words: ``power back: db-paris``."""
    healed = FAULTS[fault].words.healed if fault in FAULTS else f"{fault} healed"
    return f"{healed}: {', '.join(targets)}"


def fault_name(fault: str) -> str:
    """The name of a kind of fault."""
    return FAULTS[fault].words.title if fault in FAULTS else fault


def phase_words(phase: str) -> str:
    """A part of an outage, as from → to."""
    return _PHASES.get(phase, phase)


def role_words(role: str) -> str:
    """The role of a host, as people write it."""
    return _ROLE_WORDS.get(role, role)


def manifest_words(manifest: Manifest | None) -> str:
    """Whether a run folder is what it was when the drill ended, as a sentence without an end."""
    if manifest is None:
        return (
            "no manifest (a drill writes it when it is over):"
            " nobody can tell whether the evidence is what it was"
        )
    if manifest.holds:
        return f"holds: {counted(manifest.files, 'file is', 'files are')} as the drill left them"
    return f"does not hold: {'; '.join(manifest.problems[:MANIFEST_PROBLEMS_SHOWN])}" + (
        f"; and {len(manifest.problems) - MANIFEST_PROBLEMS_SHOWN:,} more"
        if len(manifest.problems) > MANIFEST_PROBLEMS_SHOWN
        else ""
    )


def count(number: int) -> str:
    """A whole number with thousands set apart: ``5,812``."""
    return f"{number:,}"


def seconds(value_s: float) -> str:
    """A duration as people say it: ``22.4 s``, ``340 ms``, ``2.3 ms``."""
    if abs(value_s) >= 1 or value_s == 0:
        return f"{value_s:.1f}\u00a0s"
    ms = value_s * 1000
    return f"{ms:.0f}\u00a0ms" if abs(ms) >= 10 else f"{ms:.1f}\u00a0ms"


def predicted_words(prediction: Prediction) -> str:
    """``15.0 to 29.0 s``, ``up to 9.0 s``, ``no service until healed``, ``service goes on``."""
    if prediction.service == "none-until-healed":
        where = f" in {joined(prediction.sites)}" if prediction.sites else ""
        return f"no service{where} until healed"
    if prediction.service == "goes-on":
        return "service goes on"
    if prediction.low_s <= 0:
        return f"up to {prediction.high_s:.1f}\u00a0s"
    return f"{prediction.low_s:.1f} to {prediction.high_s:.1f}\u00a0s"


def through_words(through: ThroughProxy) -> str:
    """What writes got that went straight to the members, beside a load through a proxy."""
    proxy = PROXY_NAMES[through.proxy]
    if through.direct_rto_s is None:
        return f"not known: how long writes stood still that do not go through {proxy}"
    direct = direct_words(through.direct_rto_s)
    return f"{direct} straight to the members; the load went through {proxy}"


def direct_words(direct_rto_s: float) -> str:
    """How long writes straight to the members stood still; they are few, so that a short gap says
    nothing: ``22.1 s``, ``none``."""
    return seconds(direct_rto_s) if direct_rto_s >= unserved_s_min(DIRECT_PER_S) else "none"


def percent(share: float) -> str:
    """A share as a percentage, never rounded up to 100: ``57.1 %``, ``99.98 %``."""
    if share >= 1:
        return "100\u00a0%"
    if share >= 0.99:
        return f"{min(int(share * 10_000) / 100, 99.99):.2f}\u00a0%"
    return f"{share * 100:.1f}\u00a0%"


def size(amount_bytes: int) -> str:
    """Bytes in the unit that reads best: ``512 bytes``, ``71.4 KiB``."""
    value = float(amount_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
