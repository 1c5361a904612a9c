"""What an answer says about rights, and when logs leave a trail: the pure parts."""

from __future__ import annotations

import pytest

from chaos.evidence.access import AskedOutcome
from chaos.probing.asking import digest_of, outcome_of
from chaos.probing.trail import problem_of_settings


@pytest.mark.parametrize(
    ("sqlstate", "outcome"),
    [
        ("42501", "refused"),  # no right
        ("28000", "refused"),  # NOLOGIN, or no rule of pg_hba.conf
        ("28P01", "refused"),  # a wrong password
        ("25006", "refused"),  # a write on a replica
        ("42P01", "error"),  # no such table: nobody was refused anything
        ("22P02", "error"),
        ("40001", "unanswered"),  # cancelled for the replay
        ("57P03", "unanswered"),  # it starts
        ("53300", "unanswered"),  # it is full
        (None, "unanswered"),  # nobody is there
    ],
)
def test_what_an_error_says_about_rights(sqlstate: str | None, outcome: AskedOutcome) -> None:
    assert outcome_of(sqlstate) == outcome


def test_the_same_rows_have_the_same_digest_in_any_order() -> None:
    assert digest_of([(1, "a"), (2, None)]) == digest_of([(2, None), (1, "a")])
    assert digest_of([(1, "a")]) != digest_of([(1, "b")]) != digest_of([(1, "a"), (1, "a")])


def test_logs_without_a_trail_are_named_with_their_remedy() -> None:
    assert problem_of_settings("on", "stderr,jsonlog") is None
    assert problem_of_settings("off", "jsonlog") == "logging_collector is off: set it to on"
    assert problem_of_settings("on", "stderr") == "log_destination is stderr: set it to jsonlog"
