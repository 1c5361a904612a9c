"""Register: whether the calls on each row are linearizable, as on a single machine."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind
from chaos.workloads.judged import findings_on_primary, proof_on_primary

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


def check(run: Run) -> list[Finding]:
    """One finding for each register without an order, one for all that could not be decided."""
    return findings_on_primary(run, JUDGE, kind=NOT_LINEARIZABLE)


def proved(run: Run) -> tuple[str, ...]:
    """That an order was replayed, call by call."""
    return proof_on_primary(run, JUDGE)


CHECKER = Checker(
    name="linearizable",
    question="The calls on each register are linearizable.",
    check=check,
    proves=proved,
    finds=(NOT_LINEARIZABLE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("register",),
)
