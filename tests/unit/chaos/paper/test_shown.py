"""What runs have shown, held against what was asked: the worst of all decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence.reported import Reported

from chaos.evidence.events import FaultStruck
from chaos.evidence.restores import Restore, RestoreRecord
from chaos.findings import Verdict
from chaos.judge.verdict_file import CheckerSummary
from chaos.paper.asked import Asked
from chaos.paper.shown import ObjectiveAnswer, Shown, ShownRun, shown, shown_run
from chaos.paper.subjects import OTHER, SUBJECTS, SubjectAnswer


def seen(reported: Reported) -> ShownRun:
    return shown_run(reported.folder.name, reported.run, reported.verdict)


def said(found: Shown, key: str) -> ObjectiveAnswer:
    return next(one.answer for one in found.objectives if one.key == key)


def with_checker(run: ShownRun, name: str, verdict: Verdict) -> ShownRun:
    one = CheckerSummary(name=name, question="Q.", verdict=verdict, findings=0)
    return replace(run, verdict=replace(run.verdict, checkers=(*run.verdict.checkers, one)))


def test_the_longest_interruption_of_any_site_and_no_loss(host_loss: Reported) -> None:
    run = seen(host_loss)
    assert run.outage_s == pytest.approx(22.43, abs=0.03)
    assert run.outage_site == "paris"
    assert (run.lost, run.lost_span_s) == (0, 0.0)


def test_how_far_back_the_data_was_set(async_loss: Reported) -> None:
    """Acknowledged from 0.08 s after the first fault on, until the power cut at 1.1 s."""
    run = seen(async_loss)
    assert run.lost == async_loss.verdict.lost
    assert run.lost_span_s == pytest.approx(1.02, abs=0.05)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (Asked(dmia_s=30.0), ObjectiveAnswer.WITHIN),
        (Asked(dmia_s=22.0), ObjectiveAnswer.EXCEEDED),
        (Asked(), ObjectiveAnswer.NOT_ASKED),
    ],
)
def test_the_interruption_asked(host_loss: Reported, asked: Asked, answer: ObjectiveAnswer) -> None:
    assert said(shown([seen(host_loss)], asked), "dmia_s") is answer


def test_the_worst_run_decides(host_loss: Reported, switchover: Reported) -> None:
    found = shown([seen(switchover), seen(host_loss)], Asked(dmia_s=10.0))
    worst = found.objectives[0]
    assert worst.answer is ObjectiveAnswer.EXCEEDED
    assert worst.worst is not None
    assert worst.worst.folder == "host-loss"


def test_without_a_fault_no_interruption_was_exercised(steady: Reported) -> None:
    found = shown([seen(steady)], Asked(dmia_s=10.0, prd_s=0.0))
    assert said(found, "dmia_s") is ObjectiveAnswer.NOT_EXERCISED
    assert said(found, "prd_s") is ObjectiveAnswer.WITHIN


def test_what_cannot_be_told_is_never_within(interrupted: Reported, host_loss: Reported) -> None:
    """The broken run ended in its outage, without a final read."""
    both = [seen(host_loss), seen(interrupted)]
    found = shown(both, Asked(dmia_s=60.0, prd_s=5.0, prd_entries=10))
    assert said(found, "dmia_s") is not ObjectiveAnswer.WITHIN
    assert said(found, "prd_s") is ObjectiveAnswer.UNDECIDED
    assert said(found, "prd_entries") is ObjectiveAnswer.UNDECIDED


def test_a_site_that_was_never_served_again_keeps_no_objective(host_loss: Reported) -> None:
    run = replace(seen(host_loss), outage_s=None, outage_ended=False)
    assert said(shown([run], Asked(dmia_s=3600.0)), "dmia_s") is ObjectiveAnswer.EXCEEDED
    assert said(shown([run], Asked()), "dmia_s") is ObjectiveAnswer.UNDECIDED


@pytest.mark.parametrize(
    ("asked", "seconds", "entries"),
    [
        (Asked(prd_s=0.0, prd_entries=0), ObjectiveAnswer.EXCEEDED, ObjectiveAnswer.EXCEEDED),
        (Asked(prd_s=5.0, prd_entries=1), ObjectiveAnswer.WITHIN, ObjectiveAnswer.WITHIN),
        (Asked(), ObjectiveAnswer.NOT_ASKED, ObjectiveAnswer.NOT_ASKED),
    ],
)
def test_one_entry_in_no_time_is_a_loss(
    host_loss: Reported, asked: Asked, seconds: ObjectiveAnswer, entries: ObjectiveAnswer
) -> None:
    run = replace(seen(host_loss), lost=1, lost_span_s=0.0)
    found = shown([run], asked)
    assert said(found, "prd_s") is seconds
    assert said(found, "prd_entries") is entries


def test_a_subject_without_a_checker_was_not_exercised(host_loss: Reported) -> None:
    found = shown([seen(host_loss)], Asked())
    for key in ("seals", "doors", "withdrawal", "trail", "restore"):
        assert found.answers[key] == (SubjectAnswer.NOT_EXERCISED,)
    assert found.answers["data"] == (SubjectAnswer.HELD,)
    assert OTHER not in found.answers


@pytest.mark.parametrize("key", ["seals", "doors", "withdrawal", "trail", "restore"])
@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (Verdict.VALID, SubjectAnswer.HELD),
        (Verdict.UNKNOWN, SubjectAnswer.UNDECIDED),
        (Verdict.INVALID, SubjectAnswer.DEVIATION),
    ],
)
def test_a_checker_speaks_to_its_subject(
    host_loss: Reported, steady: Reported, key: str, verdict: Verdict, answer: SubjectAnswer
) -> None:
    runs = [with_checker(seen(host_loss), key, verdict), seen(steady)]
    answers = shown(runs, Asked()).answers[key]
    assert sorted(answers) == sorted((answer, SubjectAnswer.NOT_EXERCISED))


def test_a_checker_that_nobody_placed_is_shown_all_the_same(host_loss: Reported) -> None:
    run = with_checker(seen(host_loss), "of-tomorrow", Verdict.INVALID)
    assert shown([run], Asked()).answers[OTHER] == (SubjectAnswer.DEVIATION,)


def test_no_checker_speaks_to_two_subjects() -> None:
    names = [name for subject in SUBJECTS for name in subject.checkers]
    assert len(names) == len(set(names))


def test_deviations_are_findings_and_objectives_that_were_not_met(async_loss: Reported) -> None:
    run = seen(async_loss)
    objections = len(run.objections)
    assert objections == sum(
        one.verdict is not Verdict.VALID for one in async_loss.verdict.findings
    )
    assert shown([run], Asked()).deviations == objections
    assert shown([run], Asked(dmia_s=1.0, prd_s=0.0)).deviations == objections + 2


def restored(run: ShownRun, *took_s: float | None) -> ShownRun:
    """The same run with restores that took so long; None: it failed."""
    records = [
        RestoreRecord(
            host="db-orsay",
            entry="paris-0-17",
            xid="731",
            named_s=10.0,
            named_timeline=1,
            begin_s=12.0,
            usable_s=None if one is None else 12.0 + one,
            timeline=2,
            backup_label="",
        )
        for one in took_s
    ]
    restores = tuple(Restore(record=one, read=None) for one in records)
    return replace(run, run=replace(run.run, restores=restores))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (Asked(dmard_s=5.0), ObjectiveAnswer.WITHIN),
        (Asked(dmard_s=3.0), ObjectiveAnswer.EXCEEDED),
        (Asked(), ObjectiveAnswer.NOT_ASKED),
    ],
)
def test_the_longest_restore_decides(
    steady: Reported, asked: Asked, answer: ObjectiveAnswer
) -> None:
    found = shown([restored(seen(steady), 2.0, 4.0)], asked)
    assert said(found, "dmard_s") is answer
    assert found.objectives[3].found == pytest.approx(4.0)


def test_a_restore_that_left_no_record_is_undecided(steady: Reported) -> None:
    run = with_checker(seen(steady), "restore", Verdict.UNKNOWN)
    assert said(shown([run], Asked(dmard_s=5.0)), "dmard_s") is ObjectiveAnswer.UNDECIDED
    one_failed = restored(seen(steady), 2.0, None)
    assert said(shown([one_failed], Asked(dmard_s=5.0)), "dmard_s") is ObjectiveAnswer.UNDECIDED
    assert said(shown([seen(steady)], Asked(dmard_s=5.0)), "dmard_s") is (
        ObjectiveAnswer.NOT_EXERCISED
    )


def test_a_backup_interrupts_nothing(host_loss: Reported) -> None:
    run = host_loss.run
    events = tuple(
        replace(one, fault="backup") if isinstance(one, FaultStruck) else one for one in run.events
    )
    only_backed_up = replace(run, events=events)
    assert not shown_run("r", only_backed_up, host_loss.verdict).is_struck
    assert shown_run("r", run, host_loss.verdict).is_struck
