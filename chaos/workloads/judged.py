"""What a checker says where one judge decides the whole history on the primary.

A judge is given by its name, ``module:function`` of a run and a level (None: the one that is
promised), and imported only once a run is judged: the command starts without it.
"""

from __future__ import annotations

from pkgutil import resolve_name

from chaos.checkers.base import CheckerAnswer
from chaos.evidence.run import Run
from chaos.findings import FindingKind
from chaos.workloads.answers import findings_of, is_nothing_promised, proof_of
from chaos.workloads.native import placed, units_of

WHERE = "On the primary"


def answer_on_primary(run: Run, judge: str, *, kind: FindingKind) -> CheckerAnswer:
    """One finding for each anomaly; for an answer UNKNOWN, one that says so; else the proof."""
    known = {one.name: one.details for one in placed(units_of(run))}
    forgiven = is_nothing_promised(run)
    answer = resolve_name(judge)(run, None)
    found = findings_of(answer, kind=kind, where=WHERE, forgiven=forgiven, known=known)
    return CheckerAnswer(findings=tuple(found), proof=(proof_of(answer, where=WHERE),))
