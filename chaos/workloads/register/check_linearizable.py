"""Register: whether the calls on each row are linearizable, as on a single machine."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker, CheckerAnswer
from chaos.evidence.run import Run
from chaos.findings import FindingKind
from chaos.workloads.judged import answer_on_primary

NOT_LINEARIZABLE = FindingKind(
    word="not-linearizable",
    meaning="INVALID: no order of the calls on a register explains their answers. UNKNOWN: the "
    "search for one reached its limit (only without versions). VALID: after a failover with "
    "commits that wait for no replica.",
    heading="Register that is not linearizable",
    proved="a register was not linearizable",
    undecided="it is not known whether the registers are linearizable",
)

JUDGE = "chaos.workloads.register.native:judge_run"


def answer(run: Run) -> CheckerAnswer:
    """One finding for each register without an order, one for all that could not be decided; else
    that an order was replayed, call by call."""
    return answer_on_primary(run, JUDGE, kind=NOT_LINEARIZABLE)


CHECKER = Checker(
    name="linearizable",
    question="The calls on each register are linearizable.",
    answer=answer,
    finds=(NOT_LINEARIZABLE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("register",),
)
