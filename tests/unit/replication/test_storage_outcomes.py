"""The table of failures: every row, and what is not in it."""

from __future__ import annotations

import pytest

from replication.outcomes import RULES, Action, Failure, Phase, decide

EXPECTED: dict[str, tuple[Action, Action]] = {
    "08000": (Action.REROUTE, Action.IN_DOUBT),
    "08003": (Action.REROUTE, Action.IN_DOUBT),
    "08006": (Action.REROUTE, Action.IN_DOUBT),
    "08007": (Action.REROUTE, Action.IN_DOUBT),
    "0A000": (Action.GIVE_UP, Action.IN_DOUBT),
    "22012": (Action.GIVE_UP, Action.IN_DOUBT),
    "23502": (Action.GIVE_UP, Action.GIVE_UP),
    "23505": (Action.GIVE_UP, Action.GIVE_UP),
    "25006": (Action.REROUTE, Action.IN_DOUBT),
    "25P02": (Action.GIVE_UP, Action.GIVE_UP),
    "25P03": (Action.GIVE_UP, Action.IN_DOUBT),
    "28P01": (Action.GIVE_UP, Action.IN_DOUBT),
    "40000": (Action.RETRY, Action.RETRY),
    "40001": (Action.RETRY, Action.RETRY),
    "40002": (Action.GIVE_UP, Action.GIVE_UP),
    "40003": (Action.REROUTE, Action.IN_DOUBT),
    "40P01": (Action.RETRY, Action.RETRY),
    "42P01": (Action.GIVE_UP, Action.IN_DOUBT),
    "53100": (Action.GIVE_UP, Action.IN_DOUBT),
    "53200": (Action.BACK_OFF, Action.IN_DOUBT),
    "53300": (Action.BACK_OFF, Action.IN_DOUBT),
    "55P03": (Action.BACK_OFF, Action.IN_DOUBT),
    "57014": (Action.GIVE_UP, Action.IN_DOUBT),
    "57P01": (Action.REROUTE, Action.IN_DOUBT),
    "57P02": (Action.REROUTE, Action.IN_DOUBT),
    "57P03": (Action.REROUTE, Action.IN_DOUBT),
    "57P05": (Action.REROUTE, Action.IN_DOUBT),
    "P0001": (Action.GIVE_UP, Action.GIVE_UP),
    "XX000": (Action.GIVE_UP, Action.IN_DOUBT),
}


@pytest.mark.parametrize(("sqlstate", "expected"), EXPECTED.items())
def test_an_error_of_the_server(sqlstate: str, expected: tuple[Action, Action]) -> None:
    failure = Failure(kind="error", sqlstate=sqlstate)
    assert (decide(failure, Phase.BODY), decide(failure, Phase.COMMIT)) == expected


def test_every_rule_is_tested() -> None:
    tested = EXPECTED.keys() | {sqlstate[:2] for sqlstate in EXPECTED}
    assert {rule.code for rule in RULES} <= tested
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_a_lost_connection_is_in_doubt_only_at_commit() -> None:
    assert decide(Failure(kind="lost"), Phase.BODY) is Action.REROUTE
    assert decide(Failure(kind="lost"), Phase.COMMIT) is Action.IN_DOUBT


@pytest.mark.parametrize("sqlstate", ["01000", "57P01", None])
def test_a_warning_at_commit_is_in_doubt(sqlstate: str | None) -> None:
    assert decide(Failure(kind="warning", sqlstate=sqlstate), Phase.COMMIT) is Action.IN_DOUBT


def test_what_the_client_refused_is_the_callers_mistake() -> None:
    assert decide(Failure(kind="client"), Phase.BODY) is Action.GIVE_UP


def test_after_commit_was_sent_nothing_unknown_counts_as_not_applied() -> None:
    known = {rule.code for rule in RULES}
    for number in range(36**2):
        prefix = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        code = prefix[number // 36] + prefix[number % 36]
        if code not in known:
            failure = Failure(kind="error", sqlstate=f"{code}ZZZ")
            assert decide(failure, Phase.COMMIT) is Action.IN_DOUBT
