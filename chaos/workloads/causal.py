"""What a read with our causal token must see, and the finding of those that did not. Pure.

The token stands for a unit of work (``replication/units/token.py``). A member that shows it shows
what was committed before it too; so the read sees that unit, and every one that was acknowledged
before it began.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.evidence.records import Operation
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.wording import counted

MISSED_WRITE = FindingKind(
    word="missed-own-write",
    meaning="INVALID: a read with a causal token did not see the unit of work that the token "
    "stands for, or one that was acknowledged before that began. VALID: after a failover with "
    "commits that wait for no replica.",
    heading="Causal read that missed a write",
    proved="causal reads missed what they were promised",
    undecided="it is not known whether causal reads saw what they were promised",
)


def must_see(asked: Operation, unit: Operation) -> bool:
    """Whether a read with the token of ``asked`` must see ``unit``."""
    if unit.outcome != "ok":
        return False
    return unit.id == asked.id or unit.end_s < asked.begin_s


def proof_of_miss(read: Operation, unit: Operation, **what: int) -> Evidence:
    """What a read missed: ``what`` of ``unit``."""
    return {
        "read": read.id,
        "node": read.node,
        "source": read.source,
        "begin_s": read.begin_s,
        "after": read.after,
        **what,
        "written_by": unit.id,
        "acknowledged_s": unit.ended_s,
    }


def missed(proofs: Sequence[Evidence], *, kind: FindingKind, forgiven: bool) -> list[Finding]:
    """One finding with every causal read that missed a write; none where there is no such read.

    Args:
        proofs: one a read, the earliest first (``proof_of_miss``).
        kind: ``MISSED_WRITE``; the caller names it, as that of a finding of its checker.
        forgiven: nothing is promised (``answers.is_nothing_promised``).
    """
    if not proofs:
        return []
    first = proofs[0]
    return [
        Finding(
            kind=kind,
            verdict=Verdict.VALID if forgiven else Verdict.INVALID,
            summary=f"{counted(len(proofs), 'causal read')} missed a write; the first, "
            f"{first['read']} on {first['node']}, asked for {first['after']} and did not see "
            f"{first['written_by']}.",
            evidence=tuple(proofs),
        )
    ]
