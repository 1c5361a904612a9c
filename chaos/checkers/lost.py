"""Acknowledged entries that did not survive: missing from the primary after quiesce."""

from __future__ import annotations

from chaos.checkers.authority import authority, count, no_authority
from chaos.evidence.records import Operation, Scalar, format_lsn
from chaos.evidence.run import Run
from chaos.verdict import Finding, FindingKind, Verdict


def check(run: Run) -> list[Finding]:
    """Names every acknowledged entry that the primary no longer has.

    A loss is always a finding. It makes the drill INVALID when it is larger than the scenario
    allows (``lost_max``); up to there the finding stands with the verdict VALID.
    """
    primary = authority(run)
    lost = lost_operations(run)
    if not run.final_reads:
        return []  # nothing to look at, which is for the registry to say
    if primary is None or lost is None:
        return [no_authority(run, "which acknowledged entries were lost")]
    if not lost:
        return []
    holders = _holders(run, lost)
    allowed = run.info.scenario.expect.lost_max
    return [
        Finding(
            kind=FindingKind.LOST_WRITE,
            verdict=Verdict.INVALID if len(lost) > allowed else Verdict.VALID,
            summary=f"{count(len(lost), 'acknowledged entry is', 'acknowledged entries are')} "
            f"missing from the primary {primary.node} after recovery (allowed: {allowed}).",
            evidence=tuple(_evidence(operation, holders) for operation in lost),
        )
    ]


def lost_operations(run: Run) -> list[Operation] | None:
    """The lost entries, in the order of their acknowledgement; None: nobody has the last word."""
    primary = authority(run)
    if primary is None:
        return None
    survived = {row.id for row in primary.rows}
    lost = [
        operation
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "ok" and operation.leaves_entry and operation.id not in survived
    ]
    return sorted(lost, key=lambda op: (op.ended_s or op.invoked_s, op.id))


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
