"""Counter: whether every value was given once and in order, and none is missing at the end."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker, CheckerAnswer
from chaos.evidence.run import Run
from chaos.findings import FindingKind
from chaos.workloads.judged import answer_on_primary

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


def answer(run: Run) -> CheckerAnswer:
    """One finding for each kind of wrong value; else that the bounds of all values hold."""
    return answer_on_primary(run, JUDGE, kind=WRONG_VALUE)


CHECKER = Checker(
    name="counter",
    question="Every value of the counter was given once and in order.",
    answer=answer,
    finds=(WRONG_VALUE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("counter",),
)
