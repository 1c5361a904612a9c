"""Words and numbers for people: names of faults and findings, and how figures are written."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.verdict import FindingKind, Verdict

VERDICT_SYMBOL = {Verdict.VALID: "✓", Verdict.UNKNOWN: "?", Verdict.INVALID: "✕"}

_FAULTS = {
    "host-power-cut": "power cut",
    "process-kill": "process killed",
    "link-cut": "link cut",
    "switchover": "switchover",
}

_HEALS = {
    "host-power-cut": "power back",
    "process-kill": "process back",
    "link-cut": "link back",
    "switchover": "switchover undone",
}

_PHASES = {
    "fault_to_leader_key_gone": "Fault → leader key gone",
    "to_new_leader_key": "Leader key gone → new leader key",
    "to_promoted": "New leader key → promoted",
    "to_first_acknowledged": "Promoted → first acknowledged write",
}

_KINDS = {
    FindingKind.LOST_WRITE: "Acknowledged entries lost",
    FindingKind.PHANTOM_WRITE: "Entries that nobody wrote",
    FindingKind.DUPLICATE: "Entries written more than once",
    FindingKind.SPLIT_BRAIN: "Two primaries at the same time",
    FindingKind.DEAD_TIMELINE: "Acknowledged on a timeline that did not survive",
    FindingKind.DIVERGENT_REPLICA: "Replica with other content",
    FindingKind.SERVICE_NOT_KEPT: "Service not kept",
    FindingKind.UNEXPECTED_FAILOVER: "Failover that was not expected",
    FindingKind.MISSING_FAILOVER: "Failover that did not happen",
    FindingKind.STUCK_CLUSTER: "Cluster not whole again in time",
    FindingKind.UNEXPECTED_EXIT: "Process that died unasked",
    FindingKind.UNREADABLE_NODE: "Node that could not be read",
    FindingKind.SETTINGS_NOT_IN_FORCE: "Settings that were not in force",
    FindingKind.LOAD_TOO_LOW: "Load below what was asked",
    FindingKind.STALLED_LOAD: "Load process stood still",
    FindingKind.INCOMPLETE_EVIDENCE: "Evidence is incomplete",
    FindingKind.CHECKER_CRASHED: "Checker crashed",
    FindingKind.IN_DOUBT_UNRESOLVED: "Left in doubt though it could have been resolved",
    FindingKind.WRONG_TOTAL: "Total that was not kept",
    FindingKind.WRONG_BALANCE: "Balance that its transfers do not explain",
    FindingKind.TORN_CHUNK: "Chunk that is not whole",
    FindingKind.BULK_UNFINISHED: "Bulk load that did not end",
}

_UNKNOWN_KINDS = {
    FindingKind.LOST_WRITE: "it is not known whether entries were lost",
    FindingKind.PHANTOM_WRITE: "it is not known who wrote some entries",
    FindingKind.DUPLICATE: "it is not known whether entries were written more than once",
    FindingKind.SPLIT_BRAIN: "two primaries at the same time cannot be ruled out",
    FindingKind.DEAD_TIMELINE: "it is not known whether the WAL of some writes survived",
    FindingKind.DIVERGENT_REPLICA: "it is not known whether the replicas are equal",
    FindingKind.SERVICE_NOT_KEPT: "it is not known whether service was restored",
    FindingKind.UNEXPECTED_FAILOVER: "it is not known whether the lead changed",
    FindingKind.MISSING_FAILOVER: "it is not known whether the lead changed",
    FindingKind.STUCK_CLUSTER: "it is not known whether the cluster became whole again",
    FindingKind.UNEXPECTED_EXIT: "it is not known why a process died",
    FindingKind.UNREADABLE_NODE: "a node could not be read at the end",
    FindingKind.SETTINGS_NOT_IN_FORCE: "other settings were in force than were asked for",
    FindingKind.LOAD_TOO_LOW: "the load was too low to prove anything",
    FindingKind.STALLED_LOAD: "a load process stood still",
    FindingKind.INCOMPLETE_EVIDENCE: "the evidence is incomplete",
    FindingKind.CHECKER_CRASHED: "a checker crashed",
    FindingKind.IN_DOUBT_UNRESOLVED: "it is not known whether operations left in doubt could have "
    "been resolved",
    FindingKind.WRONG_TOTAL: "it is not known whether the total was kept",
    FindingKind.WRONG_BALANCE: "it is not known whether the balances are right",
    FindingKind.TORN_CHUNK: "it is not known whether every chunk is whole",
    FindingKind.BULK_UNFINISHED: "it is not known whether the bulk loads ended",
}

_ROLE_WORDS = {"postgres": "PostgreSQL", "etcd": "etcd", "client": "load", "proxy": "proxy"}


def fault_words(fault: str, targets: Sequence[str]) -> str:
    """A fault in few words: ``power cut: db-paris``."""
    return f"{_FAULTS.get(fault, fault)}: {', '.join(targets)}"


def heal_words(fault: str, targets: Sequence[str]) -> str:
    """The undoing of a fault in few words: ``power back: db-paris``."""
    return f"{_HEALS.get(fault, f'{fault} healed')}: {', '.join(targets)}"


def fault_name(fault: str) -> str:
    """The name of a kind of fault."""
    return _FAULTS.get(fault, fault)


def phase_words(phase: str) -> str:
    """A part of an outage, as from → to."""
    return _PHASES.get(phase, phase)


def kind_words(kind: FindingKind) -> str:
    """The heading of a finding."""
    return _KINDS[kind]


def unknown_words(kind: FindingKind) -> str:
    """What is not known, where a finding says that the evidence cannot decide."""
    return _UNKNOWN_KINDS[kind]


def role_words(role: str) -> str:
    """The role of a host, as people write it."""
    return _ROLE_WORDS.get(role, role)


def count(number: int) -> str:
    """A whole number with thousands set apart: ``5,812``."""
    return f"{number:,}"


def counted(number: int, one: str, many: str) -> str:
    """``1 entry``, ``5,812 entries``."""
    return f"{number:,} {one if number == 1 else many}"


def seconds(value_s: float) -> str:
    """A duration as people say it: ``22.4 s``, ``340 ms``, ``2.3 ms``."""
    if abs(value_s) >= 1 or value_s == 0:
        return f"{value_s:.1f}\u00a0s"
    ms = value_s * 1000
    return f"{ms:.0f}\u00a0ms" if abs(ms) >= 10 else f"{ms:.1f}\u00a0ms"


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


def joined(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def possessive(name: str) -> str:
    """``db-paris'`` and ``db-orsay's``."""
    return f"{name}'" if name.endswith("s") else f"{name}'s"
