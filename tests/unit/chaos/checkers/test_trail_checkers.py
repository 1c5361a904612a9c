"""What the logs may not hold, and how long they are kept: runs to accept, and those to reject."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence.accesses import DOORS, OWN, answer, with_access, with_answers
from support.evidence.tiny import A, B, run
from support.evidence.trails import CAST, VALUE, asked_run, weekly, with_value

from chaos.checkers import retention, seals, trail_values
from chaos.checkers.retention import kept_days
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.judging import judge


def verdict_of(judged: Run, checker: str) -> Verdict:
    result = judge(judged).result(checker)
    assert result is not None
    return result.verdict


def test_clean_logs_that_are_kept_are_accepted() -> None:
    judgement = judge(asked_run())
    assert judgement.findings == ()
    assert {"trail-values", "retention", "seals"} < {one.name for one in judgement.results}


def test_nothing_is_asked_where_no_value_is_named() -> None:
    names = {one.name for one in judge(with_access(run())).results}
    assert not names & {"trail-values", "retention"}


def test_a_sealed_value_in_a_log_is_found() -> None:
    found = with_value(asked_run(), B)
    [finding] = trail_values.check(found)
    assert (finding.kind, finding.verdict) == (trail_values.VALUE_IN_TRAIL, Verdict.INVALID)
    assert dict(finding.evidence[0]) == {"node": B, "value": VALUE, "lines": 3}
    assert verdict_of(found, "trail-values") is Verdict.INVALID


def test_clean_logs_prove_nothing_where_nobody_made_an_error() -> None:
    found = asked_run()
    answers = tuple(one for one in found.access.answers if one.probe != CAST)
    found = replace(found, access=replace(found.access, answers=answers))
    assert verdict_of(found, "trail-values") is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (answer(CAST, B, 20.0, rows=1), seals.SEAL_BROKEN),
        (answer(CAST, B, 20.0, rows=0), seals.ANSWER_DIFFERS),
        (answer(CAST, B, 20.0, outcome="refused"), seals.ANSWER_DIFFERS),
        (answer(OWN, B, 20.0, outcome="error", sqlstate="22P02"), seals.ANSWER_DIFFERS),
    ],
)
def test_an_error_that_must_be_is_no_other_answer(wrong: object, kind: object) -> None:
    [finding] = seals.check(with_answers(asked_run(), wrong))  # type: ignore[arg-type]
    assert finding.kind is kind


def test_logs_that_would_be_written_over_are_found() -> None:
    found = weekly(asked_run(), A)
    [finding] = retention.check(found)
    assert (finding.kind, finding.verdict) == (retention.TRAIL_OVERWRITTEN, Verdict.INVALID)
    [proof] = finding.evidence
    assert (proof["node"], proof["moment"], proof["kept_days"]) == (A, "promoted", 7.0)


def test_settings_that_nobody_took_down_are_unknown() -> None:
    found = asked_run()
    prints = tuple(replace(one, doors=DOORS) for one in found.access.prints)
    found = replace(found, access=replace(found.access, prints=prints))
    assert verdict_of(found, "retention") is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("truncates", "age_min", "name", "days"),
    [
        ("on", "1440", "postgresql-%a.log", 7.0),
        ("on", "1440", "postgresql-%d.log", 31.0),
        ("on", "60", "postgresql-%H.log", 1.0),
        ("on", "60", "%Y-%H.log", 1.0),  # of one year, and yet every hour of it comes again
        ("on", "60", "%Y-%m-%d.log", None),  # the name stays for a day, and is then appended to
        ("on", "1440", "postgresql.log", None),  # never another name: never emptied
        ("on", "1440", "postgresql-%j.log", None),  # a year
        ("on", "0", "postgresql-%a.log", None),  # never rotated by time
        ("off", "1440", "postgresql-%a.log", None),
    ],
)
def test_how_long_settings_keep_a_log(
    truncates: str, age_min: str, name: str, days: float | None
) -> None:
    settings = {
        "log_truncate_on_rotation": truncates,
        "log_rotation_age": age_min,
        "log_filename": name,
    }
    assert kept_days(settings, 183.0) == days
