"""Counter: whether every value was given once and in order, and none is missing at the end."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind
from chaos.workloads.judged import findings_on_primary, proof_on_primary

WRONG_VALUE = FindingKind(
    word="wrong-counter",
    meaning="INVALID: a value of the counter was given twice, or after a larger one, or does not "
    "lie between the additions before it and all that had begun. VALID: after a failover with "
    "commits that wait for no replica.",
    heading="Counter that its additions do not explain",
    proved="the counter was not what its additions say",
    undecided="it is not known whether the counter was right",
)

JUDGE = "chaos.workloads.counter.native:judge_run"


def check(run: Run) -> list[Finding]:
    """One finding for each kind of wrong value."""
    return findings_on_primary(run, JUDGE, kind=WRONG_VALUE)


def proved(run: Run) -> tuple[str, ...]:
    """That the bounds of all values were counted twice."""
    return proof_on_primary(run, JUDGE)


CHECKER = Checker(
    name="counter",
    question="Every value of the counter was given once and in order.",
    check=check,
    proves=proved,
    finds=(WRONG_VALUE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("counter",),
)
