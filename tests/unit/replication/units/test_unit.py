"""Id rows, units and errors as values."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest

from replication import Credentials, NotApplied
from replication.failures import AttemptPhase
from replication.primary.waits import Superseded
from replication.units.durability import plan
from replication.units.id_row import (
    Answer,
    RowState,
    WalEvidence,
    parse_answer,
    parse_evidence,
    whose,
)
from replication.units.unit import Attempt, Transaction, Unit
from replication.wire import CommitWarning, NotPrimary, RolledBack, failure_of

KEY, OTHER_KEY = UUID(int=1), UUID(int=2)


def test_evidence_of_an_id_row() -> None:
    row = ("1/3000060", "0000000A0000000100000003", True)
    assert parse_evidence(row) == WalEvidence(timeline=10, lsn="1/3000060", synchronous=True)


def test_states_of_an_id_row() -> None:
    applied = Answer(state="applied", is_new=False, attempt_key=KEY)
    assert parse_answer(("applied", False, KEY)) == applied
    assert parse_answer(("void", True, None)) == Answer(state="void", is_new=True)
    with pytest.raises(ValueError, match="maybe"):
        parse_answer(("maybe", False, None))


@pytest.mark.parametrize(
    ("state", "key", "ours", "expected"),
    [
        ("applied", KEY, KEY, "ours"),
        ("applied", OTHER_KEY, KEY, "another's"),
        ("applied", None, KEY, "another's"),  # a process of an earlier version
        ("applied", KEY, None, "another's"),  # no COMMIT of ours was sent
        ("applied", None, None, "another's"),
        ("void", None, KEY, "nobody's"),
        ("void", None, None, "nobody's"),
    ],
)
def test_whose_an_id_row_is(
    state: RowState, key: UUID | None, ours: UUID | None, expected: str
) -> None:
    assert whose(Answer(state=state, is_new=False, attempt_key=key), ours) == expected


def test_a_unit_asks_exactly_while_it_may_have_taken_effect() -> None:
    async def nothing(_: Transaction) -> None:
        return None

    unit = Unit(id="a", fn=nothing, plan=plan("quorum"), started_s=0.0)
    assert (unit.must_ask, unit.phase) == (False, AttemptPhase.BODY)
    unit.doubt = Attempt(
        value=None,
        key=KEY,
        node="db-a",
        evidence=WalEvidence(timeline=1, lsn="0/1", synchronous=True),
        begun_s=0.0,
        sent_s=0.1,
    )
    assert (unit.must_ask, unit.phase, unit.attempt_key) == (True, AttemptPhase.COMMIT, KEY)
    unit.next_attempt()
    assert (unit.must_ask, unit.phase, unit.row_attempt) == (False, AttemptPhase.BODY, 2)
    unit.id_taken = True
    assert (unit.must_ask, unit.phase, unit.attempt_key) == (True, AttemptPhase.BODY, None)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """As ``Liveness``."""

    is_broken: bool = False
    is_closed_here: bool = False
    has_ended: bool = False


GOOD, BROKEN = Connection(), Connection(is_broken=True)
CLOSED = Connection(is_broken=True, is_closed_here=True)

WITHOUT_SQLSTATE = (
    psycopg.OperationalError("too many parameters"),
    psycopg.InterfaceError("the cursor is closed"),
    psycopg.ProgrammingError("placeholder"),
    psycopg.NotSupportedError("COPY cannot be used in pipeline mode"),
)


@pytest.mark.parametrize("error", WITHOUT_SQLSTATE)
def test_an_error_without_a_sqlstate_is_what_its_connection_is(error: psycopg.Error) -> None:
    assert failure_of(error, GOOD).kind == "client"
    assert failure_of(error, BROKEN).kind == "lost"
    assert failure_of(error, CLOSED).kind == "client"
    assert "closed on this side" in failure_of(error, CLOSED).message


def test_failures_by_who_said_it() -> None:
    raised = failure_of(psycopg.errors.SerializationFailure("x"), GOOD)
    assert (raised.kind, raised.sqlstate, raised.severity) == ("error", "40001", "ERROR")
    assert failure_of(psycopg.errors.AdminShutdown("by the function"), GOOD).kind == "error"
    assert failure_of(psycopg.errors.AdminShutdown("x"), BROKEN).kind == "lost"
    assert failure_of(psycopg.OperationalError("no connection")).kind == "lost"
    assert failure_of(psycopg.ProgrammingError("placeholder")).kind == "client"
    assert failure_of(CommitWarning("01000", "canceling wait"), GOOD).kind == "warning"
    assert failure_of(RolledBack("ROLLBACK"), GOOD).sqlstate == "25P02"
    assert failure_of(NotPrimary("db-a is in recovery"), GOOD).kind == "lost"
    assert failure_of(Superseded("another one is"), CLOSED).kind == "lost"


def test_errors_carry_what_is_known() -> None:
    error = NotApplied("no", unit_id="a", node="db-a", sqlstate="42P01", elapsed_s=0.5, attempts=2)
    assert (error.unit_id, error.node, error.sqlstate) == ("a", "db-a", "42P01")
    assert (error.elapsed_s, error.attempts, str(error)) == (0.5, 2, "no")


def test_the_password_is_in_no_repr() -> None:
    assert "hidden" not in repr(Credentials(user="u", password="hidden", dbname="d"))
