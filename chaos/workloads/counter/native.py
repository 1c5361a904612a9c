"""The additions of a run, and what ``bascule judge`` says of them. Pure.

The final read of the primary reads the counter, after everything else.
"""

from __future__ import annotations

from chaos.checkers.authority import authority
from chaos.consistency import counter
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.attempts import ClientAttempt
from chaos.evidence.run import Run
from chaos.workloads.native import placed, units_of


def judge_run(run: Run, level: str | None) -> HistoryAnswer:
    """Whether what the additions were told, and the end, are of one counter."""
    return counter.judge(attempts_of(run), level=level or counter.BOUNDED)


def attempts_of(run: Run) -> list[ClientAttempt]:
    """The additions that took effect, or may have, then the final read."""
    some = placed(units_of(run))
    attempts = [
        ClientAttempt(
            f=counter.ADD_AND_GET,
            asked=1,
            answered=one.operation.result.get("value"),
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
        attempts += [
            ClientAttempt(
                f=counter.READ,
                answered=int(row.content),
                outcome="ok",
                began=last,
                ended=last + 1,
                name=f"the final read of {primary.node}",
            )
            for row in primary.state
        ]
    return attempts
