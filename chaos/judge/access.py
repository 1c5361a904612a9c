"""What became of the probes, the withdrawals and the trail of a run, in numbers. Pure."""

from __future__ import annotations

from collections import Counter

from chaos.checkers import trail, withdrawal
from chaos.checkers.seals import RightAnswer, answer_words, judged_answers
from chaos.evidence.access import Moment
from chaos.evidence.run import Run
from chaos.judge.verdict_file import AccessTotals, ProbeTotals, TrailCount, WithdrawalTotals


def access_totals(
    run: Run, *, is_seen: bool = True, is_trail_seen: bool = True
) -> AccessTotals | None:
    """None where the scenario has no probes.

    Args:
        run: the evidence.
        is_seen: the checker of the probes could look at all of it.
        is_trail_seen: the checker of the trail could.
    """
    if not run.asks_access:
        return None
    return AccessTotals(
        probes=_probes(run, is_seen=is_seen),
        withdrawals=_withdrawals(run),
        trail=_trail(run, is_seen=is_trail_seen) if run.info.scenario.access.trail else None,
    )


def _probes(run: Run, *, is_seen: bool) -> tuple[ProbeTotals, ...]:
    found: list[ProbeTotals] = []
    for probe in run.info.scenario.access.probes:
        answers: dict[Moment, Counter[str]] = {}
        for one in run.access.answers:
            if one.probe == probe.name:
                answers.setdefault(one.moment, Counter())[answer_words(one)] += 1
        right = RightAnswer.of(run, probe)
        wrong = sum(right.wrong(one) is not None for one in judged_answers(run, probe))
        found.append(
            ProbeTotals(
                name=probe.name,
                role=probe.role,
                expect=probe.words,
                answers=answers,
                wrong=_proved(wrong, is_seen=is_seen),
            )
        )
    return tuple(found)


def _withdrawals(run: Run) -> tuple[WithdrawalTotals, ...]:
    courses = {one.asked.probe: one for one in withdrawal.courses(run)}
    found: list[WithdrawalTotals] = []
    for asked in run.info.scenario.access.withdrawals:
        course = courses.get(asked.probe)
        is_known = course is not None and course.is_refused_everywhere
        found.append(
            WithdrawalTotals(
                probe=asked.probe,
                sql=asked.sql,
                within_s=asked.within_s,
                longest_s=course.longest_s if course is not None and is_known else None,
                nodes={}
                if course is None
                else {one.node: one.longest_s(course.done.end_s) for one in course.nodes},
            )
        )
    return tuple(found)


def _proved(number: int, *, is_seen: bool) -> int | None:
    """None instead of an unproved zero."""
    return number if number or is_seen else None


def _trail(run: Run, *, is_seen: bool) -> TrailCount:
    found = trail.totals(run)
    return TrailCount(
        acknowledged=found.acknowledged,
        missing=_proved(len(found.missing), is_seen=is_seen),
        misnamed=_proved(len(found.misnamed), is_seen=is_seen),
    )
