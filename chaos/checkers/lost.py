"""Acknowledged entries that did not survive: missing from the primary after quiesce."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.authority import authority, lost_operations, no_authority
from chaos.checkers.base import Checker
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, FindingKind, Verdict
from chaos.wording import counted
from replication.wire.wal import format_lsn

LOST_WRITE = FindingKind(
    word="lost-acknowledged-write",
    meaning="INVALID: more acknowledged entries than the scenario's ``lost_max`` are missing from "
    "the primary after recovery. VALID: some are, and the scenario allows as many.",
    heading="Acknowledged entries lost",
    proved="acknowledged entries were lost",
    undecided="it is not known whether entries were lost",
)


def check(run: Run) -> list[Finding]:
    """Names every acknowledged entry that the primary no longer has.

    A loss is always a finding. It makes the drill INVALID when it is larger than the scenario
    allows (``lost_max``); up to there the finding stands with the verdict VALID.
    """
    primary = authority(run)
    lost = lost_operations(run)
    if not run.final_reads:
        return []  # nothing to look at; the registry reports that
    if primary is None or lost is None:
        return [no_authority(run, "which acknowledged entries were lost")]
    if not lost:
        return []
    holders = _holders(run, lost)
    allowed = run.info.scenario.expect.lost_max
    return [
        Finding(
            kind=LOST_WRITE,
            verdict=Verdict.INVALID if len(lost) > allowed else Verdict.VALID,
            summary=f"{counted(len(lost), 'acknowledged entry is', 'acknowledged entries are')} "
            f"missing from the primary {primary.node} after recovery (allowed: {allowed}).",
            evidence=tuple(_evidence(operation, holders) for operation in lost),
        )
    ]


def _holders(run: Run, lost: list[Operation]) -> dict[str, str]:
    """Which nodes still have which of the lost ids: a loss that can be repaired by hand."""
    wanted = {operation.id for operation in lost}
    holders: dict[str, list[str]] = {}
    for read in run.final_reads:
        for id_ in sorted({row.id for row in read.rows} & wanted):
            holders.setdefault(id_, []).append(read.node)
    return {id_: ", ".join(nodes) for id_, nodes in holders.items()}


def _evidence(operation: Operation, holders: dict[str, str]) -> dict[str, Scalar]:
    return {
        "id": operation.id,
        "site": operation.site,
        "node": operation.node,
        "timeline": operation.timeline,
        "lsn": None if operation.lsn is None else format_lsn(operation.lsn),
        "acknowledged_s": operation.ended_s,
        "still_on": holders.get(operation.id),
    }


CHECKER = Checker(
    name="lost-entries",
    question="Every acknowledged entry survived.",
    check=check,
    finds=(LOST_WRITE, INCOMPLETE_EVIDENCE),
    needs=(needs.histories, needs.one_primary),
)
