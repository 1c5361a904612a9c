"""What survived and what did not, as the primary's final read decides it."""

from __future__ import annotations

from chaos.evidence.given_up import given_up_ids
from chaos.evidence.records import FinalRead, Operation
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, Verdict


def authority(run: Run) -> FinalRead | None:
    """The final read of the one node that was primary after quiesce.

    None when no primary could be read, or when several nodes said that they are the primary: then
    no node has the last word.
    """
    primaries = [read for read in run.final_reads if read.is_primary and read.error is None]
    return primaries[0] if len(primaries) == 1 else None


def no_authority(run: Run, undecided: str) -> Finding:
    """The finding for a run without authority.

    Args:
        undecided: What cannot be decided, as the end of a sentence ("which entries were lost").
    """
    primaries = [read.node for read in run.final_reads if read.is_primary and read.error is None]
    reason = (
        f"{' and '.join(primaries)} both say that they are the primary"
        if primaries
        else "no node could be read as the primary"
    )
    return Finding(
        kind=INCOMPLETE_EVIDENCE,
        verdict=Verdict.UNKNOWN,
        summary=f"After quiesce {reason}: it cannot be told {undecided}.",
        evidence=tuple(
            {"node": read.node, "is_primary": read.is_primary, "error": read.error}
            for read in run.final_reads
        ),
    )


def lost_operations(run: Run) -> list[Operation] | None:
    """The lost entries, in the order of their acknowledgement; None: no node has the last word.

    What a restore of the cluster was allowed to take is not lost (``evidence.given_up``).
    """
    primary = authority(run)
    if primary is None:
        return None
    survived = {row.id for row in primary.rows}
    excused = given_up_ids(run)
    lost = [
        operation
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "ok"
        and operation.leaves_entry
        and operation.id not in survived
        and operation.id not in excused
    ]
    return sorted(lost, key=lambda op: (op.ended_s or op.invoked_s, op.id))
