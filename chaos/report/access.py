"""Who was let in to what, as texts: a key figure, lines for a terminal, and a table of probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaos.evidence.access import ROUNDS, Moment
from chaos.judge.verdict_file import AccessTotals, TrailCount, WithdrawalTotals
from chaos.report.words import count, seconds
from chaos.wording import counted

COLUMNS: Mapping[Moment, str] = {
    "before": "Before",
    "meanwhile": "Meanwhile",
    "promoted": "Before the heal",
    "rejoined": "At the end",
}
"""Of the table, in order: the rounds, and what was asked between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """One probe in the table."""

    name: str
    role: str
    expect: str
    answers: tuple[str, ...]
    """By column, what the nodes said."""
    is_bad: bool


def probe_rows(access: AccessTotals | None) -> tuple[ProbeRow, ...]:
    """In the order of the scenario; none where nothing was asked."""
    if access is None:
        return ()
    return tuple(
        ProbeRow(
            name=one.name,
            role=one.role,
            expect=one.expect,
            answers=tuple(_cell(moment, one.answers.get(moment, {})) for moment in COLUMNS),
            is_bad=bool(one.wrong),
        )
        for one in access.probes
    )


def _cell(moment: Moment, said: Mapping[str, int]) -> str:
    """``refused on 3 nodes``; between the rounds ``refused 24 times``."""
    if not said:
        return "–"
    if moment in ROUNDS:
        return "; ".join(f"{words} on {counted(times, 'node')}" for words, times in said.items())
    return "; ".join(f"{words} {counted(times, 'time')}" for words, times in said.items())


def access_lines(access: AccessTotals) -> tuple[str, ...]:
    """One line for the probes, one for each withdrawal, one for the trail."""
    return (
        probes_words(access),
        *(withdrawal_words(one) for one in access.withdrawals),
        *(() if access.trail is None else (trail_words(access.trail),)),
    )


def probes_words(access: AccessTotals) -> str:
    """How many were asked, and how many were answered wrongly."""
    asked = f"{counted(len(access.probes), 'probe')}, {counted(access.answers, 'answer')}"
    if access.wrong is None:
        return f"{asked}, not known whether all were as expected"
    right = "all as expected" if not access.wrong else f"{count(access.wrong)} NOT as expected"
    return f"{asked}, {right}"


def withdrawal_words(one: WithdrawalTotals) -> str:
    """How long a withdrawn right was still admitted."""
    if one.longest_s is None:
        return f"{one.probe}: not known when it was refused everywhere"
    allowed = f"at most {seconds(one.within_s)} are allowed"
    return f"{one.probe}: withdrawn, and admitted {seconds(one.longest_s)} longer; {allowed}"


def trail_words(trail: TrailCount) -> str:
    """How much of what was accessed is in the logs."""
    if trail.missing is None:
        return (
            f"{counted(trail.acknowledged, 'access', 'accesses')}, not known whether all are logged"
        )
    there = trail.acknowledged - trail.missing
    words = f"{count(there)} of {count(trail.acknowledged)} accesses are in the logs of the nodes"
    return f"{words}, {count(trail.misnamed)} under another name" if trail.misnamed else words
