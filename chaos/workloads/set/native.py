"""The additions of a run and its final read, and what ``bascule judge`` says of them. Pure."""

from __future__ import annotations

from chaos.checkers.authority import authority
from chaos.consistency import sets
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.elements import ADD, READ
from chaos.evidence.run import Run
from chaos.workloads.native import placed, units_of


def judge_run(run: Run, level: str | None) -> HistoryAnswer:
    """Whether the primary has at the end what was added, once, and nothing else."""
    some = placed(units_of(run))
    attempts = [
        ClientAttempt(
            f=ADD,
            asked=one.operation.work["element"],
            outcome=one.outcome,
            began=one.began,
            ended=one.ended,
            process=one.process,
            name=one.name,
        )
        for one in some
    ]
    last = max((one.ended or one.began for one in some), default=0) + 1
    primary = authority(run)
    if primary is not None:
        attempts.append(
            ClientAttempt(
                f=READ,
                answered=[int(row.content) for row in primary.rows],
                outcome="ok",
                began=last,
                ended=last + 1,
                name=f"the final read of {primary.node}",
            )
        )
    return sets.judge_last_read(attempts, level=level or sets.EVENTUAL)
