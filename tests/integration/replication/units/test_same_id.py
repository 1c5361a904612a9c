"""One id, two callers, and a failover that loses the commit of the first: one ``Applied``.

A's COMMIT waits on a primary that no standby follows any more. The replica is promoted without it,
and B, who hears of that first, applies the unit under the same attempt number. Then A asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import LiteralString

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from support.postgres.ledger_entries import prepare
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import rest_api
from support.postgres.server_pair import say_promoted, server_pair, wait_rows

from replication import (
    AlreadyApplied,
    Applied,
    Credentials,
    Member,
    Storage,
    StorageError,
    SyncStorage,
    SyncTransaction,
    Transaction,
    Unknown,
)
from replication.observability.events import DoubtResolved, Event
from replication.sqlalchemy.orm import AsyncOrm, Orm
from replication.wire import session_to

pytestmark = pytest.mark.anyio

CREDENTIALS = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
DEADLINE_S = 60.0

INSERT: LiteralString = (
    "INSERT INTO bascule.ledger (id, site, worker, n) VALUES ('a', %s, 0, 0) RETURNING site"
)
INSERT_BY_NAME = text(
    "INSERT INTO bascule.ledger (id, site, worker, n) VALUES ('a', :site, 0, 0) RETURNING site"
)

Run = Callable[[], Awaitable[Applied[str]]]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalPostgres, LocalPostgres]]:
    """A primary and its replica, to be broken by one test."""
    with server_pair(tmp_path) as servers:
        yield servers


async def post(transaction: Transaction, who: str) -> str:
    """The unit of work; its value says who ran it."""
    return str((await transaction.execute(INSERT, (who,))).rows[0][0])


def post_in_thread(transaction: SyncTransaction, who: str) -> str:
    return str(transaction.execute(INSERT, (who,)).rows[0][0])


def post_with_session(session: Session) -> str:
    return str(session.execute(INSERT_BY_NAME, {"site": "A"}).scalar_one())


async def post_with_async_session(session: AsyncSession) -> str:
    return str((await session.execute(INSERT_BY_NAME, {"site": "A"})).scalar_one())


@asynccontextmanager
async def run_of_a(way: str, members: list[Member], events: list[Event]) -> AsyncIterator[Run]:
    """What A calls, by the way in which A calls it."""
    options = {"unit_id": "a", "deadline_s": DEADLINE_S}
    if way in ("sync", "sync orm", "sync decorated"):
        with SyncStorage(members, CREDENTIALS, observers=[events.append]) as storage:
            if way == "sync":
                call = partial(storage.run, lambda tx: post_in_thread(tx, "A"), **options)
            elif way == "sync orm":
                call = partial(Orm(storage).run, post_with_session, **options)
            else:
                decorated = storage.unit_of_work(deadline_s=DEADLINE_S)(post_in_thread)
                call = partial(decorated.run, "a", "A")
            yield lambda: anyio.to_thread.run_sync(call)
        return
    async with Storage(members, CREDENTIALS, observers=[events.append]) as storage:
        match way:
            case "async orm":
                yield partial(AsyncOrm(storage).run, post_with_async_session, **options)
            case "decorated":
                decorated = storage.unit_of_work(deadline_s=DEADLINE_S)(post)
                yield partial(decorated.run, "a", "A")
            case "not repeatable":
                options |= {"repeatable": False}
                yield partial(storage.run, lambda tx: post(tx, "A"), **options)
            case durability:
                options |= {"durability": durability}
                yield partial(storage.run, lambda tx: post(tx, "A"), **options)


@asynccontextmanager
async def told_of(
    primary: LocalPostgres, replica: LocalPostgres
) -> AsyncIterator[tuple[list[Member], Callable[[], None]]]:
    """Members, and what tells those who watch them of the promotion."""
    async with rest_api(primary=True) as old, rest_api(primary=False) as new:
        members = [old.member(primary, site="paris"), new.member(replica, site="orsay")]
        yield members, partial(say_promoted, old, new)


async def lay_ground(primary: LocalPostgres, replica: LocalPostgres, member: Member) -> None:
    """The tables on both; then the replica hears no more, and no commit is acknowledged."""
    async with session_to(member.address, CREDENTIALS) as admin:
        await prepare(admin, role="bascule_app", password="app-password")
    await wait_rows(replica, "SELECT 1 FROM pg_class WHERE relname = 'ledger'", 1)
    replica.set("primary_conninfo", "")
    await wait_rows(replica, "SELECT 1 FROM pg_stat_wal_receiver", 0)
    primary.set("synchronous_standby_names", "ANY 1 (nobody)")


WAYS = [
    *("quorum", "all_sites", "not repeatable", "decorated", "async orm"),
    *("sync", "sync decorated", "sync orm"),
]


@pytest.mark.parametrize("way", WAYS)
async def test_whose_number_was_taken_is_not_told_applied(
    pair: tuple[LocalPostgres, LocalPostgres], way: str
) -> None:
    primary, replica = pair
    ends: list[Applied[str] | StorageError] = []
    events: list[Event] = []
    async with (
        told_of(primary, replica) as (members, tell_a),
        told_of(primary, replica) as (members_of_b, tell_b),
        run_of_a(way, members, events) as run,
        Storage(members_of_b, CREDENTIALS) as b,
        anyio.create_task_group() as group,
    ):
        await lay_ground(primary, replica, members[0])

        async def run_a() -> None:
            try:
                ends.append(await run())
            except StorageError as error:
                ends.append(error)

        group.start_soon(run_a)
        await wait_rows(primary, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'", 1)
        await anyio.to_thread.run_sync(replica.query, "SELECT pg_promote(true, 30)")
        tell_b()
        applied = await b.run(lambda tx: post(tx, "B"), unit_id="a", deadline_s=DEADLINE_S)
        tell_a()
    (end,) = ends
    assert isinstance(end, AlreadyApplied)
    assert end.attempt_key == applied.attempt_key
    assert (applied.value, applied.row_attempt) == ("B", 1)
    assert replica.query("SELECT site FROM bascule.ledger WHERE id = 'a'") == [("B",)]
    assert [event.state for event in events if isinstance(event, DoubtResolved)] == ["void"]


async def test_a_row_of_an_earlier_version_is_anothers(
    pair: tuple[LocalPostgres, LocalPostgres],
) -> None:
    primary, replica = pair
    ends: list[Applied[str] | StorageError] = []
    async with (
        told_of(primary, replica) as (members, tell_a),
        run_of_a("quorum", members, []) as run,
        anyio.create_task_group() as group,
    ):
        await lay_ground(primary, replica, members[0])

        async def run_a() -> None:
            with pytest.raises(AlreadyApplied) as caught:
                await run()
            ends.append(caught.value)

        group.start_soon(run_a)
        await wait_rows(primary, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'", 1)
        await anyio.to_thread.run_sync(replica.query, "SELECT pg_promote(true, 30)")
        replica.query(
            "INSERT INTO bascule.unit_of_work (id, attempt, state) VALUES ('a', 1, 'applied')"
        )
        tell_a()
    (end,) = ends
    assert isinstance(end, AlreadyApplied)
    assert end.attempt_key is None
    assert replica.query("SELECT site FROM bascule.ledger") == []


@pytest.mark.parametrize("is_replicated", [True, False])
async def test_a_caller_in_doubt_finds_out_later_whether_it_was_his(
    pair: tuple[LocalPostgres, LocalPostgres], is_replicated: bool
) -> None:
    """``Unknown`` carries the key; ``outcome`` and ``AlreadyApplied`` say whose was applied."""
    primary, replica = pair
    async with (
        told_of(primary, replica) as (members, tell),
        Storage(members, CREDENTIALS) as storage,
    ):
        if is_replicated:
            async with session_to(members[0].address, CREDENTIALS) as admin:
                await prepare(admin, role="bascule_app", password="app-password")
            primary.set("synchronous_standby_names", "ANY 1 (nobody)")
        else:
            await lay_ground(primary, replica, members[0])
        with pytest.raises(Unknown) as unknown:
            await storage.run(lambda tx: post(tx, "A"), unit_id="a", deadline_s=2)
        assert unknown.value.attempt_key is not None
        if is_replicated:
            await wait_rows(replica, "SELECT 1 FROM bascule.unit_of_work WHERE id = 'a'", 1)
        await anyio.to_thread.run_sync(replica.query, "SELECT pg_promote(true, 30)")
        tell()
        if not is_replicated:
            await storage.run(lambda tx: post(tx, "B"), unit_id="a", deadline_s=DEADLINE_S)
        outcome = await storage.outcome("a", deadline_s=DEADLINE_S)
        with pytest.raises(AlreadyApplied) as already:
            await storage.run(lambda tx: post(tx, "C"), unit_id="a", deadline_s=DEADLINE_S)
    assert (outcome.applied, outcome.attempt_key) == (True, already.value.attempt_key)
    assert (outcome.attempt_key == unknown.value.attempt_key) is is_replicated
    assert replica.query("SELECT site FROM bascule.ledger") == [("A" if is_replicated else "B",)]
