"""Duplicates: one operation that took effect more than once."""

from __future__ import annotations

from collections import Counter

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.wording import counted

DUPLICATE = FindingKind(
    word="duplicate",
    meaning="INVALID: one operation took effect more than once.",
    heading="Entries written more than once",
    proved="entries were written more than once",
    undecided="it is not known whether entries were written more than once",
)


def check(run: Run) -> list[Finding]:
    """Names every id that occurs more than once in a node's final read."""
    found = duplicated(run)
    if not found:
        return []
    ids = {id_ for _, id_ in found}
    evidence: list[dict[str, Scalar]] = [
        {"node": node, "id": id_, "rows": rows} for (node, id_), rows in sorted(found.items())
    ]
    return [
        Finding(
            kind=DUPLICATE,
            verdict=Verdict.INVALID,
            summary=f"{counted(len(ids), 'entry', 'entries')} in the ledger more than once.",
            evidence=tuple(evidence),
        )
    ]


def duplicated(run: Run) -> dict[tuple[str, str], int]:
    """``(node, id)`` to the number of rows, where that is more than one."""
    suspects = [
        read for read in run.final_reads if len({row.id for row in read.rows}) < len(read.rows)
    ]
    return {
        (read.node, id_): rows
        for read in suspects
        for id_, rows in Counter(row.id for row in read.rows).items()
        if rows > 1
    }


CHECKER = Checker(
    name="duplicates",
    question="Every entry took effect once.",
    check=check,
    finds=(DUPLICATE,),
    needs=(needs.final_reads,),
)
