"""What was found, in words: objectives and subjects, in full and in short. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.paper.language import Language, day_and_time
from chaos.paper.shown import ObjectiveAnswer, ObjectiveFound, Shown, ShownRun, together
from chaos.paper.subjects import SubjectAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """A statement, and what was found: an objective, a subject."""

    words: str
    asked: str
    found: str
    answer: str
    tone: str
    """``held``, ``deviation``, ``undecided`` or ``silent``."""


_OBJECTIVE_TONES = {
    ObjectiveAnswer.WITHIN: "held",
    ObjectiveAnswer.EXCEEDED: "deviation",
    ObjectiveAnswer.UNDECIDED: "undecided",
    ObjectiveAnswer.NOT_ASKED: "silent",
    ObjectiveAnswer.NOT_EXERCISED: "silent",
}


def objective_row(one: ObjectiveFound, shown: Shown, words: Language) -> AnswerRow:
    """An objective with what was asked and found."""
    return AnswerRow(
        words=words.say(f"objective.{one.key}"),
        asked=_asked_words(one, words),
        found=found_words(one, shown, words),
        answer=words.say(f"objective.{one.answer}"),
        tone=_OBJECTIVE_TONES[one.answer],
    )


def _asked_words(one: ObjectiveFound, words: Language) -> str:
    if one.asked is None:
        return words.say("objective.not_asked_value")
    if one.key == "prd_entries":
        return words.counted("entry", int(one.asked))
    return words.duration(one.asked)


def found_words(one: ObjectiveFound, shown: Shown, words: Language) -> str:
    """The worst that was found, and in which exercise."""
    if one.worst is None:
        return "–"
    number = number_of(one.worst, shown)
    if one.found is None:
        is_endless = one.key == "dmia_s" and one.worst.outage_ended is False
        key = "objective.outage_endless" if is_endless else "objective.untold"
        return words.say(key, site=one.worst.outage_site, run=number)
    if one.key == "dmia_s":
        duration = words.duration(one.found)
        site = one.worst.outage_site
        return words.say("objective.outage", duration=duration, site=site, run=number)
    if one.key == "dmard_s":
        return words.say("objective.span", duration=words.duration(one.found), run=number)
    return _lost_words(one.key, one.found, one.worst, shown, words)


def _lost_words(key: str, found: float, worst: ShownRun, shown: Shown, words: Language) -> str:
    """A loss, as a time or in entries."""
    number = number_of(worst, shown)
    if key == "prd_s":
        if not worst.lost:
            return words.say("objective.no_span")
        return words.say("objective.span", duration=words.duration(found), run=number)
    if not found:
        total = sum(run.verdict.acknowledged for run in shown.runs)
        return words.say("objective.none_lost", acknowledged=words.whole(total))
    return words.say(
        "objective.some_lost",
        lost=words.whole(int(found)),
        acknowledged=words.whole(worst.verdict.acknowledged),
        run=number,
    )


_SUBJECT_TONES = {
    SubjectAnswer.HELD: "held",
    SubjectAnswer.DEVIATION: "deviation",
    SubjectAnswer.UNDECIDED: "undecided",
    SubjectAnswer.NOT_EXERCISED: "silent",
}


def subject_row(key: str, answers: Sequence[SubjectAnswer], words: Language) -> AnswerRow:
    """A subject with what all runs say to it, one answer a run."""
    return AnswerRow(
        words=words.say(f"subject.{key}"),
        asked="",
        found="",
        answer=_answer_words(answers, words),
        tone=_SUBJECT_TONES[together(answers)],
    )


def _answer_words(answers: Sequence[SubjectAnswer], words: Language) -> str:
    """What all runs say: the worst, and of how many."""
    worst = together(answers)
    if worst is SubjectAnswer.NOT_EXERCISED or len(answers) == 1:
        return words.say(f"answer.{worst}")
    runs, number = words.whole(len(answers)), words.whole(answers.count(worst))
    if worst is not SubjectAnswer.HELD:
        return words.say(f"answer.{worst}_of", number=number, runs=runs)
    key = "held_of" if answers.count(worst) == len(answers) else "held_some"
    return words.say(f"answer.{key}", held=number, runs=runs)


def short(key: str, answers: Sequence[SubjectAnswer], words: Language) -> str:
    """A subject and its answer in few words: ``Traces : non exercé``."""
    name = words.say(f"short.{key}")
    return words.say("short.of", name=name, answer=_answer_words(answers, words))


def short_objective(one: ObjectiveFound, words: Language) -> str:
    """An objective in few words: ``RTO: 60 s asked, 22.4 s found: within``."""
    if one.found is not None:
        found = words.duration(one.found)
    elif one.worst is None:
        found = "–"
    else:
        is_endless = one.key == "dmia_s" and one.worst.outage_ended is False
        found = words.say("objective.endless" if is_endless else "objective.undecided")
    return words.say(
        "objective.short",
        name=words.say(f"name.{one.key}"),
        asked=_asked_words(one, words),
        found=found,
        answer=words.say(f"objective.{one.answer}"),
    )


def numbered(shown: Shown) -> list[tuple[int, ShownRun]]:
    """The runs with the numbers that the paper gives them, from 1 on."""
    return list(enumerate(shown.runs, start=1))


def number_of(run: ShownRun | None, shown: Shown) -> int:
    """The number of one run; 0 of one that is not in the paper."""
    return next((number for number, one in numbered(shown) if one is run), 0)


def days_of(shown: Shown, words: Language) -> str:
    """The day of the exercises, or the first and the last."""
    moments = [day_and_time(run.run.info.started_at) for run in shown.runs]
    days = sorted({moment.date() for moment in moments if moment is not None})
    ends = [words.date(day) for day in (days[:1] + days[1:][-1:])]
    return " – ".join(ends)
