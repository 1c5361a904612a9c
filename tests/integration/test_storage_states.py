"""Every row of the table of failures, against a server that is in that state.

The states are in ``support.server_states``. In answer to COMMIT every code is raised by a deferred
trigger, which is what a server does when its commit fails; the ends of a commit that are not errors
are in ``test_storage_doubt``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import pytest
from psycopg import sql
from support.ledger_units import (
    admin_on,
    entries,
    id_rows,
    own_pid,
    prepare_ledger,
    storage_on,
)
from support.local_postgres import LocalPostgres, local_postgres
from support.server_states import (
    BEFORE,
    ENDS_WITHOUT_A_WORD,
    SCHEMA,
    SMALL_DISK_KIB,
    Lab,
    end_when_asleep,
)

from replication import (
    Applied,
    DiskFull,
    NotApplied,
    NotRepeated,
    StatementTimeout,
    Transaction,
)
from replication.observe import DoubtResolved, Event
from replication.outcomes import RULES, Action, Rule

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


KINDS = {"53100": DiskFull, "57014": StatementTimeout}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
async def test_before_commit(server: LocalPostgres, rule: Rule) -> None:
    for state in BEFORE[rule.code]:
        await prepare_ledger(server)
        async with lab_on(server) as lab:
            await state(lab)
            check(lab, rule, rule.before)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
async def test_before_commit_and_not_to_be_repeated(server: LocalPostgres, rule: Rule) -> None:
    """Called once, whatever fails; what another try may mend is said to be so."""
    async with lab_on(server) as lab:
        lab.repeatable = False
        await BEFORE[rule.code][0](lab)
    assert lab.calls == 1
    if rule.code == "57P05":  # met before it was called
        assert isinstance(lab.ended, Applied)
        return
    assert isinstance(lab.ended, NotApplied)
    assert isinstance(lab.ended, NotRepeated) == (rule.before is not Action.GIVE_UP)
    assert entries(server, "a") == 0
    assert str(lab.ended).startswith("a was not applied")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
async def test_in_answer_to_commit(server: LocalPostgres, rule: Rule) -> None:
    code = {"08": "08006", "23": "23514", "P0": "P0001"}.get(rule.code, rule.code)

    async def first(transaction: Transaction) -> None:
        await transaction.execute(sql.SQL("SET LOCAL states.at_commit = {}").format(code))

    async with lab_on(server) as lab:
        await lab.run(first)
        check(lab, rule, rule.at_commit)
    assert lab.calls == (1 if rule.at_commit is Action.GIVE_UP else 2)


def check(lab: Lab, rule: Rule, action: Action) -> None:
    """What the table says is what was done, and the entry is there once or not at all."""
    first = lab.failures[0]
    assert first.action == action.name.lower()
    assert (first.sqlstate or rule.code).startswith(rule.code)
    assert first.sqlstate is not None or rule.code in ENDS_WITHOUT_A_WORD
    if action is Action.GIVE_UP:
        assert isinstance(lab.ended, KINDS.get(rule.code, NotApplied))
        assert (lab.ended.sqlstate or "").startswith(rule.code)
        assert (lab.ended.attempts, lab.calls) == (1, 1)
        assert entries(lab.server, "a") == 0
        assert id_rows(lab.server, "a") == []
        return
    assert isinstance(lab.ended, Applied), lab.ended
    assert lab.ended.attempts == 2
    assert entries(lab.server, "a") == 1
    if action is Action.IN_DOUBT:
        assert id_rows(lab.server, "a") == [(1, "void"), (2, "applied")]
        assert [e.state for e in lab.events if isinstance(e, DoubtResolved)] == ["void"]
    else:
        assert id_rows(lab.server, "a") == [(1, "applied")]


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


@pytest.mark.parametrize(
    ("function", "sqlstate"), [("pg_cancel_backend", "57014"), ("pg_terminate_backend", "57P01")]
)
async def test_a_commit_that_is_ended_before_its_record_was_written(
    server: LocalPostgres, function: str, sqlstate: str
) -> None:
    """The id row says that it is void, and the unit is run again."""
    async with lab_on(server) as lab, anyio.create_task_group() as group:

        async def first(transaction: Transaction) -> None:
            pid = await own_pid(transaction)
            await transaction.execute("SET LOCAL states.at_commit = 'sleep'")
            ender = sql.SQL(function)
            group.start_soon(end_when_asleep, server, ender, pid)

        await lab.run(first)
    assert lab.failures[0].action == "in_doubt"
    assert lab.failures[0].sqlstate in {sqlstate, None if sqlstate == "57P01" else sqlstate}
    assert isinstance(lab.ended, Applied)
    assert not lab.ended.resolved
    assert entries(server, "a") == 1
    assert id_rows(server, "a") == [(1, "void"), (2, "applied")]
