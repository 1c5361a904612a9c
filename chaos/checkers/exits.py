"""Processes that died unexpectedly: a finding even if the data is fine."""

from __future__ import annotations

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import ProcessEnded
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.wording import counted

UNEXPECTED_EXIT = FindingKind(
    word="unexpected-exit",
    meaning="INVALID: a process died that nobody had killed.",
    heading="Process that died unasked",
    proved="a process died that nobody had killed",
    undecided="it is not known why a process died",
)


def check(run: Run) -> list[Finding]:
    """Names every child that exited without being told to, and not by a fault."""
    exits = [event for event in run.events_of(ProcessEnded) if not event.expected]
    if not exits:
        return []
    return [
        Finding(
            kind=UNEXPECTED_EXIT,
            verdict=Verdict.INVALID,
            summary=f"{counted(len(exits), 'process', 'processes')} ended unexpectedly: "
            + ", ".join(f"{exit_.process} on {exit_.host}" for exit_ in exits)
            + ".",
            evidence=tuple({"t_s": exit_.t_s, **exit_.said()} for exit_ in exits),
        )
    ]


CHECKER = Checker(
    name="processes",
    question="No process died on its own.",
    check=check,
    finds=(UNEXPECTED_EXIT,),
    needs=(needs.whole_events,),
)
