"""One id, many callers of every kind, and the primary's host is lost: one ``Applied`` an id.

In a lab with the real Patroni. Synchronous and asynchronous callers, with and without the ORM, of
two storages, as two processes would be; each writes who he is, so that the value that was returned
can be looked for in the table.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from chaos.testing import PatroniCluster
from replication import (
    AlreadyApplied,
    Applied,
    StorageError,
    StorageSettings,
    SyncStorage,
    SyncTransaction,
    Transaction,
)
from replication.sqlalchemy.orm import AsyncOrm, Orm

IDS = 6
SLOW_S = 0.7
"""What a function takes between its write and its COMMIT, so that the callers meet."""

SETTINGS = StorageSettings(deadline_s=90)
INSERT = text("INSERT INTO post VALUES (:id, :who)")

Ends = list[tuple[str, str, Applied[str] | StorageError]]


class Callers:
    """Calls that end one way or another, each with the name of who called."""

    def __init__(self) -> None:
        self.ends: Ends = []
        self.begun = threading.Semaphore(0)

    def in_thread(self, unit_id: str, who: str, run: Callable[[], Applied[str]]) -> None:
        self.begun.release()
        try:
            self.ends.append((unit_id, who, run()))
        except StorageError as error:
            self.ends.append((unit_id, who, error))

    async def in_loop(
        self, unit_id: str, who: str, run: Callable[[], Awaitable[Applied[str]]]
    ) -> None:
        self.begun.release()
        try:
            self.ends.append((unit_id, who, await run()))
        except StorageError as error:
            self.ends.append((unit_id, who, error))


def call_from_threads(cluster: PatroniCluster, callers: Callers) -> None:
    """Three synchronous callers for each id, one of them with the ORM."""
    with (
        SyncStorage(cluster.members(), cluster.credentials, settings=SETTINGS) as storage,
        ThreadPoolExecutor(3) as threads,
    ):
        orm = Orm(storage)

        def post(transaction: SyncTransaction, unit_id: str, who: str) -> str:
            transaction.execute("INSERT INTO post VALUES (%s, %s)", (unit_id, who))
            time.sleep(SLOW_S)
            return who

        def post_with_orm(session: Session, unit_id: str, who: str) -> str:
            session.execute(INSERT, {"id": unit_id, "who": who})
            time.sleep(SLOW_S)
            return who

        def call(n: int, unit_id: str) -> None:
            who = f"thread {n}"
            if n == 0:
                callers.in_thread(
                    *(unit_id, who),
                    lambda: orm.run(lambda s: post_with_orm(s, unit_id, who), unit_id=unit_id),
                )
            else:
                callers.in_thread(
                    *(unit_id, who),
                    lambda: storage.run(lambda tx: post(tx, unit_id, who), unit_id=unit_id),
                )

        for id_ in range(IDS):
            list(threads.map(call, range(3), [f"post/{id_}"] * 3))


async def call_from_tasks(cluster: PatroniCluster, callers: Callers) -> None:
    """Three asynchronous callers for each id, one of them with the ORM."""
    async with cluster.storage(settings=SETTINGS) as storage:
        orm = AsyncOrm(storage)

        async def post(transaction: Transaction, unit_id: str, who: str) -> str:
            await transaction.execute("INSERT INTO post VALUES (%s, %s)", (unit_id, who))
            await asyncio.sleep(SLOW_S)
            return who

        async def post_with_orm(session: AsyncSession, unit_id: str, who: str) -> str:
            await session.execute(INSERT, {"id": unit_id, "who": who})
            await asyncio.sleep(SLOW_S)
            return who

        def call(n: int, unit_id: str) -> Awaitable[None]:
            who = f"task {n}"
            if n == 0:
                return callers.in_loop(
                    *(unit_id, who),
                    lambda: orm.run(lambda s: post_with_orm(s, unit_id, who), unit_id=unit_id),
                )
            return callers.in_loop(
                *(unit_id, who),
                lambda: storage.run(lambda tx: post(tx, unit_id, who), unit_id=unit_id),
            )

        for id_ in range(IDS):
            await asyncio.gather(*(call(n, f"post/{id_}") for n in range(3)))


@pytest.mark.slow
def test_one_applied_an_id_and_its_value_is_in_the_table() -> None:
    callers = Callers()
    with PatroniCluster() as cluster:
        with psycopg.connect(cluster.primary_url(), autocommit=True) as db:
            db.execute("CREATE TABLE post (id text, who text)")

        async def install() -> None:
            async with cluster.storage():
                """Its first entry makes the tables of the storage layer."""

        asyncio.run(install())
        with ThreadPoolExecutor(2) as homes:
            running = [
                homes.submit(call_from_threads, cluster, callers),
                homes.submit(lambda: asyncio.run(call_from_tasks(cluster, callers))),
            ]
            for _ in range(2 * 3 * 2):  # both are at their second id, or beyond
                assert callers.begun.acquire(timeout=60)
            cluster.kill_primary()
            for one in running:
                one.result()
        with psycopg.connect(cluster.primary_url()) as db:
            posts = db.execute("SELECT id, who FROM post ORDER BY id").fetchall()
    assert [id_ for id_, _ in posts] == [f"post/{n}" for n in range(IDS)]
    assert len(callers.ends) == IDS * 6
    applied = [(id_, end) for id_, _, end in callers.ends if isinstance(end, Applied)]
    others = [end for _, _, end in callers.ends if not isinstance(end, Applied)]
    assert sorted((id_, end.value) for id_, end in applied) == posts
    assert {type(end) for end in others} == {AlreadyApplied}
