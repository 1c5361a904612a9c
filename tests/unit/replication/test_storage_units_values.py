"""Id rows, units and errors as values."""

from __future__ import annotations

import psycopg
import pytest

from replication import Credentials, NotApplied
from replication.durability import plan
from replication.outcomes import Phase
from replication.unit_rows import Answer, Evidence, parse_answer, parse_evidence
from replication.units import Attempt, Transaction, Unit
from replication.wire import CommitWarning, RolledBack, failure_of


def test_evidence_of_an_id_row() -> None:
    row = ("1/3000060", "0000000A0000000100000003", True)
    assert parse_evidence(row) == Evidence(timeline=10, lsn="1/3000060", synchronous=True)


def test_states_of_an_id_row() -> None:
    assert parse_answer(("applied", False)) == Answer(state="applied", is_new=False)
    assert parse_answer(("void", True)) == Answer(state="void", is_new=True)
    with pytest.raises(ValueError, match="maybe"):
        parse_answer(("maybe", False))


def test_a_unit_asks_exactly_while_it_may_have_taken_effect() -> None:
    async def nothing(_: Transaction) -> None:
        return None

    unit = Unit(id="a", fn=nothing, plan=plan("quorum"), started_s=0.0)
    assert (unit.must_ask, unit.phase) == (False, Phase.BODY)
    unit.doubt = Attempt(
        value=None,
        node="db-a",
        evidence=Evidence(timeline=1, lsn="0/1", synchronous=True),
        begun_s=0.0,
    )
    assert (unit.must_ask, unit.phase) == (True, Phase.COMMIT)
    unit.next_attempt()
    assert (unit.must_ask, unit.phase, unit.row_attempt) == (False, Phase.BODY, 2)
    unit.id_taken = True
    assert (unit.must_ask, unit.phase) == (True, Phase.BODY)


def test_failures_by_who_said_it() -> None:
    assert failure_of(psycopg.errors.SerializationFailure("x")).kind == "error"
    assert failure_of(psycopg.errors.SerializationFailure("x")).sqlstate == "40001"
    assert failure_of(psycopg.OperationalError("gone")).kind == "lost"
    assert failure_of(psycopg.InterfaceError("closed")).kind == "lost"
    assert failure_of(psycopg.ProgrammingError("placeholder")).kind == "client"
    assert failure_of(CommitWarning("01000", "canceling wait")).kind == "warning"
    assert failure_of(RolledBack("ROLLBACK")).sqlstate == "25P02"


def test_errors_carry_what_is_known() -> None:
    error = NotApplied("no", unit_id="a", node="db-a", sqlstate="42P01", elapsed_s=0.5, attempts=2)
    assert (error.unit_id, error.node, error.sqlstate) == ("a", "db-a", "42P01")
    assert (error.elapsed_s, error.attempts, str(error)) == (0.5, 2, "no")


def test_the_password_is_in_no_repr() -> None:
    assert "hidden" not in repr(Credentials(user="u", password="hidden", dbname="d"))
