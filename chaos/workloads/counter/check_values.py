"""Counter: whether every value was given once and in order, and none is missing at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind
from chaos.workloads.answers import findings_of, is_nothing_promised, proof_of
from chaos.workloads.native import placed, units_of

if TYPE_CHECKING:
    from chaos.consistency.answer import HistoryAnswer

WRONG_VALUE = FindingKind(
    word="wrong-counter",
    meaning="INVALID: a value of the counter was given twice, or after a larger one, or does not "
    "lie between the additions before it and all that had begun. VALID: after a failover with "
    "commits that wait for no replica.",
    heading="Counter that its additions do not explain",
    proved="the counter was not what its additions say",
    undecided="it is not known whether the counter was right",
)

WHERE = "On the primary"


def check(run: Run) -> list[Finding]:
    """One finding for each kind of wrong value."""
    known = {one.name: one.details for one in placed(units_of(run))}
    forgiven = is_nothing_promised(run)
    return list(
        findings_of(_judged(run), kind=WRONG_VALUE, where=WHERE, forgiven=forgiven, known=known)
    )


def proved(run: Run) -> tuple[str, ...]:
    """That the bounds of all values were counted twice."""
    return (proof_of(_judged(run), where=WHERE),)


def _judged(run: Run) -> HistoryAnswer:
    # The judge is imported only once a run is judged: the command starts without it.
    from chaos.workloads.counter.native import judge_run  # noqa: PLC0415

    return judge_run(run, None)


CHECKER = Checker(
    name="counter",
    question="Every value of the counter was given once and in order.",
    check=check,
    proves=proved,
    finds=(WRONG_VALUE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("counter",),
)
