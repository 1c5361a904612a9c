"""Who has the last word on what survived: the primary's final read. Used by several checkers."""

from __future__ import annotations

from chaos.evidence.records import FinalRead
from chaos.evidence.run import Run
from chaos.verdict import Finding, FindingKind, Verdict


def authority(run: Run) -> FinalRead | None:
    """The final read of the one node that was primary after quiesce.

    None when no primary could be read, or when several nodes said that they are the primary: then
    nobody has the last word.
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
        kind=FindingKind.INCOMPLETE_EVIDENCE,
        verdict=Verdict.UNKNOWN,
        summary=f"After quiesce {reason}: it cannot be told {undecided}.",
        evidence=tuple(
            {"node": read.node, "is_primary": read.is_primary, "error": read.error}
            for read in run.final_reads
        ),
    )


def count(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 entry``, ``1,234 entries``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
