"""Processes that died though nobody wanted it: a finding even if the data is fine."""

from __future__ import annotations

from chaos.checkers.authority import count
from chaos.evidence.run import Run
from chaos.verdict import Finding, FindingKind, Verdict


def check(run: Run) -> list[Finding]:
    """Names every child that exited without being told to, and not by a fault."""
    exits = [
        event for event in run.events_of("child-exit") if event.fields.get("expected") is False
    ]
    if not exits:
        return []
    return [
        Finding(
            kind=FindingKind.UNEXPECTED_EXIT,
            verdict=Verdict.INVALID,
            summary=f"{count(len(exits), 'process', 'processes')} ended unexpectedly: "
            + ", ".join(
                f"{exit_.fields.get('process')} on {exit_.fields.get('host')}" for exit_ in exits
            )
            + ".",
            evidence=tuple({"t_s": exit_.t_s, **exit_.fields} for exit_ in exits),
        )
    ]
