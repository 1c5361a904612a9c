"""Register: whether the calls on each row are linearizable, as on a single machine."""

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

NOT_LINEARIZABLE = FindingKind(
    word="not-linearizable",
    meaning="INVALID: no order of the calls on a register explains their answers. UNKNOWN: the "
    "search for one reached its limit (only without versions). VALID: after a failover with "
    "commits that wait for no replica.",
    heading="Register that is not linearizable",
    proved="a register was not linearizable",
    undecided="it is not known whether the registers are linearizable",
)

WHERE = "On the primary"


def check(run: Run) -> list[Finding]:
    """One finding for each register without an order, one for all that could not be decided."""
    known = {one.name: one.details for one in placed(units_of(run))}
    forgiven = is_nothing_promised(run)
    answer = _judged(run)
    return list(
        findings_of(answer, kind=NOT_LINEARIZABLE, where=WHERE, forgiven=forgiven, known=known)
    )


def proved(run: Run) -> tuple[str, ...]:
    """That an order was replayed, call by call."""
    return (proof_of(_judged(run), where=WHERE),)


def _judged(run: Run) -> HistoryAnswer:
    # The judge is imported only once a run is judged: the command starts without it.
    from chaos.workloads.register.native import judge_run  # noqa: PLC0415

    return judge_run(run, None)


CHECKER = Checker(
    name="linearizable",
    question="The calls on each register are linearizable.",
    check=check,
    proves=proved,
    finds=(NOT_LINEARIZABLE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("register",),
)
