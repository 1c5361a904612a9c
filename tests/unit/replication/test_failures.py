"""The table of failures: every row, and what is not in it."""

from __future__ import annotations

import pytest

from replication.failures import RULES, Action, AttemptPhase, Failure, Severity, decide, is_lost

EXPECTED: dict[str, tuple[Action, Action]] = {
    "08000": (Action.GIVE_UP, Action.REROUTE),
    "08006": (Action.GIVE_UP, Action.REROUTE),
    "08007": (Action.GIVE_UP, Action.REROUTE),
    "0A000": (Action.GIVE_UP, Action.REROUTE),
    "22012": (Action.GIVE_UP, Action.REROUTE),
    "23502": (Action.GIVE_UP, Action.REROUTE),
    "23505": (Action.GIVE_UP, Action.REROUTE),
    "25006": (Action.GIVE_UP, Action.REROUTE),
    "25P02": (Action.GIVE_UP, Action.REROUTE),
    "25P03": (Action.GIVE_UP, Action.GIVE_UP),
    "25P04": (Action.GIVE_UP, Action.GIVE_UP),
    "40000": (Action.RETRY, Action.REROUTE),
    "40001": (Action.RETRY, Action.REROUTE),
    "40002": (Action.GIVE_UP, Action.REROUTE),
    "40003": (Action.GIVE_UP, Action.REROUTE),
    "40P01": (Action.RETRY, Action.REROUTE),
    "42P01": (Action.GIVE_UP, Action.REROUTE),
    "53100": (Action.GIVE_UP, Action.GIVE_UP),
    "53200": (Action.BACK_OFF, Action.BACK_OFF),
    "53300": (Action.BACK_OFF, Action.BACK_OFF),
    "55P03": (Action.BACK_OFF, Action.BACK_OFF),
    "57014": (Action.GIVE_UP, Action.REROUTE),
    "57P01": (Action.GIVE_UP, Action.REROUTE),
    "57P02": (Action.GIVE_UP, Action.REROUTE),
    "57P03": (Action.GIVE_UP, Action.REROUTE),
    "57P05": (Action.GIVE_UP, Action.REROUTE),
    "BK001": (Action.GIVE_UP, Action.REROUTE),
    "P0001": (Action.GIVE_UP, Action.REROUTE),
    "PT409": (Action.GIVE_UP, Action.REROUTE),
    "XX000": (Action.GIVE_UP, Action.REROUTE),
}


@pytest.mark.parametrize(("sqlstate", "expected"), EXPECTED.items())
def test_before_commit(sqlstate: str, expected: tuple[Action, Action]) -> None:
    error = Failure(kind="error", sqlstate=sqlstate, severity="ERROR")
    ended = Failure(kind="lost", sqlstate=sqlstate, severity="FATAL")
    assert (decide(error, AttemptPhase.BODY), decide(ended, AttemptPhase.BODY)) == expected


@pytest.mark.parametrize(("sqlstate", "expected"), EXPECTED.items())
def test_in_answer_to_commit(sqlstate: str, expected: tuple[Action, Action]) -> None:
    """An ERROR is a rollback, whatever its SQLSTATE; the end of the session is not."""
    error = Failure(kind="error", sqlstate=sqlstate, severity="ERROR")
    ended = Failure(kind="lost", sqlstate=sqlstate, severity="FATAL")
    assert decide(error, AttemptPhase.COMMIT) is expected[0]
    assert decide(ended, AttemptPhase.COMMIT) is Action.IN_DOUBT


def test_every_rule_is_tested() -> None:
    tested = EXPECTED.keys() | {sqlstate[:2] for sqlstate in EXPECTED}
    assert {rule.code for rule in RULES} <= tested
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_a_lost_connection_is_in_doubt_only_at_commit() -> None:
    assert decide(Failure(kind="lost"), AttemptPhase.BODY) is Action.REROUTE
    assert decide(Failure(kind="lost"), AttemptPhase.COMMIT) is Action.IN_DOUBT


@pytest.mark.parametrize("sqlstate", ["01000", "57P01", None])
def test_a_warning_at_commit_is_in_doubt(sqlstate: str | None) -> None:
    assert (
        decide(Failure(kind="warning", sqlstate=sqlstate), AttemptPhase.COMMIT) is Action.IN_DOUBT
    )


@pytest.mark.parametrize("sqlstate", ["08P01", "57P01", "58000"])
def test_what_a_pooler_answers_for_its_server_proves_nothing(sqlstate: str) -> None:
    """PgBouncer sends no field V."""
    failure = Failure(kind="error", sqlstate=sqlstate)
    assert decide(failure, AttemptPhase.COMMIT) is Action.IN_DOUBT
    assert is_lost(failure) == (sqlstate != "58000")


@pytest.mark.parametrize("sqlstate", ["0A000", "26000", "42P05"])
def test_a_stale_statement_is_run_again_also_where_it_was_the_commit(sqlstate: str) -> None:
    failure = Failure(kind="error", sqlstate=sqlstate, is_stale_statement=True)
    assert {decide(failure, phase) for phase in AttemptPhase} == {Action.RETRY}
    assert decide(Failure(kind="error", sqlstate=sqlstate), AttemptPhase.BODY) is Action.GIVE_UP


def test_what_the_client_refused_is_the_callers_mistake() -> None:
    assert decide(Failure(kind="client"), AttemptPhase.BODY) is Action.GIVE_UP
    assert not is_lost(Failure(kind="client"))


@pytest.mark.parametrize("severity", ["ERROR", "FATAL", "PANIC", None])
@pytest.mark.parametrize("kind", ["error", "lost"])
def test_only_what_ended_a_session_gives_the_primary_up(
    kind: str, severity: Severity | None
) -> None:
    failure = Failure(kind=kind, sqlstate="57P01", severity=severity)  # type: ignore[arg-type]
    assert is_lost(failure) == (kind == "lost" or severity != "ERROR")


@pytest.mark.parametrize("sqlstate", ["25P03", "25P04"])
def test_a_session_that_was_ended_because_the_function_is_slow_is_no_lost_primary(
    sqlstate: str,
) -> None:
    assert not is_lost(Failure(kind="lost", sqlstate=sqlstate, severity="FATAL"))
