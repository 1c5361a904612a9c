"""Every row of the table of failures, against a server that is in that state.

The states are in ``support.postgres.server_states``. In answer to COMMIT every code is raised by a
deferred trigger, which is what a server does when its commit fails; the ends of a commit that are
not errors are in ``test_storage_doubt``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from psycopg import sql
from support.postgres.ledger_units import (
    UnitFn,
    admin_on,
    entries,
    id_rows,
    own_pid,
    prepare_ledger,
    storage_on,
)
from support.postgres.local_postgres import LocalPostgres, local_postgres
from support.postgres.server_states import (
    ANSWERED,
    ENDED,
    ENDS_WITHOUT_A_WORD,
    SCHEMA,
    SMALL_DISK_KIB,
    Lab,
    end_when_asleep,
    raised,
)

from replication import (
    Applied,
    DiskFull,
    NotApplied,
    NotRepeated,
    StatementTimeout,
    Transaction,
)
from replication.failures import RULES, Action, Rule
from replication.observability.events import DoubtResolved, Event

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def states_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A server of our own: it is shut down and filled up here."""
    folder = tmp_path_factory.mktemp("states")
    with local_postgres(folder, small_disk_kib=SMALL_DISK_KIB) as server:
        yield server


@pytest.fixture
async def server(states_server: LocalPostgres) -> LocalPostgres:
    await prepare_ledger(states_server)
    if not states_server.query("SELECT FROM pg_proc WHERE proname = 'at_commit'"):
        states_server.query(SCHEMA)
    states_server.query("TRUNCATE once, child")
    states_server.query("UPDATE rows SET n = 0")
    return states_server


@asynccontextmanager
async def lab_on(server: LocalPostgres) -> AsyncIterator[Lab]:
    events: list[Event] = []
    async with storage_on(server, events=events) as (storage, _):
        yield Lab(server=server, storage=storage, events=events)


GIVE_UP = Action.GIVE_UP

KINDS = {"53100": DiskFull, "57014": StatementTimeout}


OWN = [
    Rule(code=code, name="of the application", error=GIVE_UP, ended=Action.REROUTE, why="unknown")
    for code in ("PT409", "BK001", "22012", "0A000", "XX000", "08P01")
]
"""What a program may raise that is not in the table."""

EVERY = [*RULES, *OWN]


def sqlstate_of(rule: Rule) -> str:
    return {"08": "08006", "23": "23514", "P0": "P0001"}.get(rule.code, rule.code)


def when_raised(rule: Rule) -> Action:
    """A server that lacks nothing needs no time."""
    return GIVE_UP if rule.error is Action.BACK_OFF else rule.error


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.code)
async def test_an_error_before_commit(server: LocalPostgres, rule: Rule) -> None:
    """Met for real where that can be, and raised by a function: the primary is not given up."""
    states = [(state, rule.error) for state in ANSWERED.get(rule.code, ())]
    for state, action in (*states, (raised(sqlstate_of(rule)), when_raised(rule))):
        await prepare_ledger(server)
        async with lab_on(server) as lab:
            await state(lab)
            check(lab, rule, action)
            assert lab.losses == []


@pytest.mark.parametrize("code", ENDED)
async def test_a_session_that_ends_before_commit(server: LocalPostgres, code: str) -> None:
    if code == "25P04" and server_version(server) < 17:
        pytest.skip("transaction_timeout is new in PostgreSQL 17")
    (rule,) = (rule for rule in RULES if rule.code == code)
    for state in ENDED[code]:
        await prepare_ledger(server)
        async with lab_on(server) as lab:
            await state(lab)
            check(lab, rule, rule.ended)
            assert bool(lab.losses) == (rule.ended is Action.REROUTE)


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.code)
async def test_before_commit_and_not_to_be_repeated(server: LocalPostgres, rule: Rule) -> None:
    """Called once, whatever fails; what another try may mend is said to be so."""
    states = [(raised(sqlstate_of(rule)), when_raised(rule))]
    if rule.code in ENDED and rule.code != "25P04":
        states.append((ENDED[rule.code][0], rule.ended))
    for state, action in states:
        await prepare_ledger(server)
        async with lab_on(server) as lab:
            lab.repeatable = False
            await state(lab)
        assert lab.calls == 1
        if (rule.code, action) == ("57P05", Action.REROUTE):  # met before it was called
            assert isinstance(lab.ended, Applied)
            continue
        assert isinstance(lab.ended, NotApplied)
        assert isinstance(lab.ended, NotRepeated) == (action is not GIVE_UP)
        assert entries(server, "a") == 0
        assert str(lab.ended).startswith("a was not applied")


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.code)
async def test_an_error_in_answer_to_commit(server: LocalPostgres, rule: Rule) -> None:
    """It is a rollback, whatever its SQLSTATE: nothing is in doubt, and nothing is asked."""

    async def first(transaction: Transaction) -> None:
        code = sqlstate_of(rule)
        await transaction.execute(sql.SQL("SET LOCAL states.at_commit = {}").format(code))

    async with lab_on(server) as lab:
        await lab.run(first)
        check(lab, rule, when_raised(rule))
        assert lab.losses == []
    assert lab.calls == (1 if when_raised(rule) is GIVE_UP else 2)


def check(lab: Lab, rule: Rule, action: Action) -> None:
    """What the table says is what was done, and the entry is there once or not at all."""
    first = lab.failures[0]
    assert first.action == action.name.lower()
    assert (first.sqlstate or rule.code).startswith(rule.code)
    assert first.sqlstate is not None or rule.code in ENDS_WITHOUT_A_WORD
    if action is GIVE_UP:
        assert isinstance(lab.ended, KINDS.get(rule.code, NotApplied))
        assert (lab.ended.sqlstate or "").startswith(rule.code)
        assert (lab.ended.attempts, lab.calls) == (1, 1)
        assert entries(lab.server, "a") == 0
        assert id_rows(lab.server, "a") == []
        return
    assert isinstance(lab.ended, Applied), lab.ended
    assert lab.ended.attempts == 2
    assert entries(lab.server, "a") == 1
    assert id_rows(lab.server, "a") == [(1, "applied")]
    assert not any(isinstance(event, DoubtResolved) for event in lab.events)


# Ends of a commit that are real. -----------------------------------------------------------------


async def test_a_write_skew_is_found_at_commit_and_run_again(server: LocalPostgres) -> None:
    async with lab_on(server) as lab:

        async def first(transaction: Transaction) -> None:
            await transaction.execute("SELECT n FROM rows WHERE id = 1")
            await transaction.execute("UPDATE rows SET n = 1 WHERE id = 2")
            with admin_on(server) as other, other.transaction():
                other.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                other.execute("SELECT n FROM rows WHERE id = 2")
                other.execute("UPDATE rows SET n = 1 WHERE id = 1")

        await lab.run(first, isolation="serializable")
    assert [(f.sqlstate, f.action) for f in lab.failures] == [("40001", "retry")]
    assert isinstance(lab.ended, Applied)
    assert entries(server, "a") == 1


async def test_a_deferred_foreign_key_is_not_applied(server: LocalPostgres) -> None:
    async with lab_on(server) as lab:

        async def first(transaction: Transaction) -> None:
            await transaction.execute("INSERT INTO child VALUES (7)")

        await lab.run(first)
    assert isinstance(lab.ended, NotApplied)
    assert (lab.ended.sqlstate, lab.calls, entries(server, "a")) == ("23503", 1, 0)


async def test_a_commit_that_is_ended_before_its_record_was_written(
    server: LocalPostgres,
) -> None:
    """The id row says that it is void, and the unit is run again."""
    async with lab_on(server) as lab, anyio.create_task_group() as group:
        await lab.run(asleep_at_commit(group, server, sql.SQL("pg_terminate_backend")))
    assert lab.failures[0].action == "in_doubt"
    assert lab.failures[0].sqlstate in {"57P01", None}
    assert isinstance(lab.ended, Applied)
    assert not lab.ended.resolved
    assert entries(server, "a") == 1
    assert id_rows(server, "a") == [(1, "void"), (2, "applied")]


async def test_a_commit_that_is_cancelled_before_its_record_was_written(
    server: LocalPostgres,
) -> None:
    async with lab_on(server) as lab, anyio.create_task_group() as group:
        await lab.run(asleep_at_commit(group, server, sql.SQL("pg_cancel_backend")))
    assert (lab.failures[0].action, lab.failures[0].sqlstate) == ("give_up", "57014")
    assert isinstance(lab.ended, StatementTimeout)
    assert (lab.calls, entries(server, "a"), id_rows(server, "a")) == (1, 0, [])


def asleep_at_commit(group: TaskGroup, server: LocalPostgres, ender: sql.SQL) -> UnitFn:
    """A unit whose COMMIT sleeps, until ``ender`` is called for its backend."""

    async def first(transaction: Transaction) -> None:
        pid = await own_pid(transaction)
        await transaction.execute("SET LOCAL states.at_commit = 'sleep'")
        group.start_soon(end_when_asleep, server, ender, pid)

    return first


def server_version(server: LocalPostgres) -> int:
    return int(server.query("SELECT current_setting('server_version_num')::int / 10000")[0][0])
