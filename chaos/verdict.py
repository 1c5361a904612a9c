"""Verdicts and findings: VALID < UNKNOWN < INVALID, merged by maximum (Jepsen, merge-valid)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chaos.evidence.records import Scalar


class Verdict(enum.IntEnum):
    """The answer of a checker, and of a whole drill."""

    VALID = 0
    UNKNOWN = 1
    INVALID = 2

    @property
    def word(self) -> str:
        """The lower-case word that stands in ``verdict.json``."""
        return self.name.lower()


class FindingKind(enum.StrEnum):
    """What a finding is about. The words are part of the public format."""

    LOST_WRITE = "lost-acknowledged-write"
    PHANTOM_WRITE = "phantom-write"
    DUPLICATE = "duplicate"
    SPLIT_BRAIN = "split-brain"
    DEAD_TIMELINE = "acknowledged-on-dead-timeline"
    DIVERGENT_REPLICA = "divergent-replica"
    SERVICE_NOT_KEPT = "service-not-kept"
    UNEXPECTED_FAILOVER = "unexpected-failover"
    MISSING_FAILOVER = "missing-failover"
    STUCK_CLUSTER = "stuck-cluster"
    UNEXPECTED_EXIT = "unexpected-exit"
    UNREADABLE_NODE = "unreadable-node"
    SETTINGS_NOT_IN_FORCE = "settings-not-in-force"
    LOAD_TOO_LOW = "load-too-low"
    STALLED_LOAD = "stalled-load"
    INCOMPLETE_EVIDENCE = "incomplete-evidence"
    CHECKER_CRASHED = "checker-crashed"
    IN_DOUBT_UNRESOLVED = "in-doubt-unresolved"
    WRONG_TOTAL = "wrong-total"
    WRONG_BALANCE = "wrong-balance"
    TORN_CHUNK = "torn-chunk"
    BULK_UNFINISHED = "bulk-unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, with what proves it.

    ``verdict`` is what it makes of the drill: INVALID, or UNKNOWN where the evidence cannot decide.
    ``evidence`` holds one mapping a proof (operation ids, LSNs, timelines, log lines), complete:
    every lost entry is named, a report may shorten the list but says by how much.
    """

    kind: FindingKind
    verdict: Verdict
    summary: str
    evidence: tuple[Mapping[str, Scalar], ...] = field(default=())
    checker: str = ""
    """The name of the checker that made it; ``judge`` writes it in."""


def merge(findings: Iterable[Finding]) -> Verdict:
    """The worst of them; VALID when there is none."""
    return max((finding.verdict for finding in findings), default=Verdict.VALID)
