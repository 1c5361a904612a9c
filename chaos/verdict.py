"""Verdicts and findings: VALID < UNKNOWN < INVALID, merged by maximum (Jepsen, merge-valid)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chaos.evidence.records import Scalar


class Verdict(enum.IntEnum):
    """The answer of a checker, and of a whole drill."""

    VALID = 0
    """Everything that had to be seen was seen, and all that must hold did."""
    UNKNOWN = 1
    """The evidence cannot decide: a part is missing, or something else was measured than asked."""
    INVALID = 2
    """Something that must hold did not, and the evidence proves it."""

    @property
    def word(self) -> str:
        """The lower-case word that stands in ``verdict.json``."""
        return self.name.lower()


class FindingKind(enum.StrEnum):
    """What a finding is about. The words are part of the public format."""

    LOST_WRITE = "lost-acknowledged-write"
    """INVALID: more acknowledged entries than the scenario's ``lost_max`` are missing from the
    primary after recovery. VALID: some are, and the scenario allows as many."""
    PHANTOM_WRITE = "phantom-write"
    """INVALID: an entry is there that was reported failed, or that nobody wrote. UNKNOWN: nobody is
    known to have written it, but a history was cut short."""
    DUPLICATE = "duplicate"
    """INVALID: one operation took effect more than once."""
    SPLIT_BRAIN = "split-brain"
    """INVALID: two nodes acknowledged writes as primary at the same time."""
    DEAD_TIMELINE = "acknowledged-on-dead-timeline"
    """INVALID: entries were acknowledged on WAL that is not in the history of the timeline that
    survived."""
    DIVERGENT_REPLICA = "divergent-replica"
    """INVALID: a replica's content differs from the primary's after quiesce."""
    SERVICE_NOT_KEPT = "service-not-kept"
    """INVALID: a site had no acknowledged write for longer than the scenario's ``rto_s_max``, or no
    service when the load ended. UNKNOWN: its history was cut short."""
    UNEXPECTED_FAILOVER = "unexpected-failover"
    """INVALID: the lead changed, or the timeline did, where the scenario says ``must-not``."""
    MISSING_FAILOVER = "missing-failover"
    """INVALID: the lead did not change where the scenario says ``must``. UNKNOWN: nobody would have
    seen it."""
    STUCK_CLUSTER = "stuck-cluster"
    """INVALID: the cluster was not whole within the scenario's ``recovery_s_max`` after heal."""
    UNEXPECTED_EXIT = "unexpected-exit"
    """INVALID: a process died that nobody had killed."""
    UNREADABLE_NODE = "unreadable-node"
    """INVALID: a node could not be read after recovery."""
    SETTINGS_NOT_IN_FORCE = "settings-not-in-force"
    """INVALID: quorum commit was asked for, and commits waited for no replica. UNKNOWN: other
    settings were in force than were asked for, but none that protects less."""
    LOAD_TOO_LOW = "load-too-low"
    """UNKNOWN: a site had less than four fifths of the asked rate acknowledged in steady state."""
    STALLED_LOAD = "stalled-load"
    """UNKNOWN: a load process itself stood still, so that the outage it measured may be its own."""
    INCOMPLETE_EVIDENCE = "incomplete-evidence"
    """UNKNOWN: a part of the evidence is missing, or the drill was interrupted."""
    CHECKER_CRASHED = "checker-crashed"
    """UNKNOWN: a checker raised an error; any of them can."""
    IN_DOUBT_UNRESOLVED = "in-doubt-unresolved"
    """INVALID: an operation was left in doubt while a primary acknowledged others of its site.
    UNKNOWN: others were of other sites."""
    WRONG_TOTAL = "wrong-total"
    """INVALID: the sum of all balances is not the opening one."""
    WRONG_BALANCE = "wrong-balance"
    """INVALID: a balance is not what the transfers say, or a transfer moved something else than was
    asked."""
    TORN_CHUNK = "torn-chunk"
    """INVALID: of a chunk of a bulk load rows are missing, doubled or others."""
    BULK_UNFINISHED = "bulk-unfinished"
    """INVALID: a bulk load was told to end and did not."""


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
