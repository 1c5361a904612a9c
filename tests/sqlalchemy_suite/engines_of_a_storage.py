"""What SQLAlchemy's suite runs on: a PostgreSQL, its standby, a storage, and engines on that.

The suite makes its engines with ``sqlalchemy.create_engine``; in its process that is ours.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import Engine, event
from sqlalchemy.testing import asyncio as suite_asyncio
from support.postgres.local_postgres import local_postgres
from support.postgres.synchronous import CREDENTIALS, rest_apis
from support.postgres.wal_receiver import STANDBYS, wal_receiver

from replication import Member, Storage, SyncStorage
from replication.sqlalchemy import engines
from replication.sqlalchemy.engines import create_async_engine, create_engine

Kind = Literal["sync", "async"]
CreateEngine = Callable[..., Engine]

SETTINGS = {"max_prepared_transactions": "20"}
"""The suite has tests of two-phase commits."""


class Ground:
    """Open from the beginning of pytest's run to its end.

    Args:
        kind: of the engines.
    """

    def __init__(self, kind: Kind) -> None:
        self.drivers: set[str] = set()
        """The kinds of connections that the engines have opened."""
        self._stack = ExitStack()
        with ExitStack() as stack:
            members = stack.enter_context(_members())
            if kind == "sync":
                storage = stack.enter_context(SyncStorage(members, CREDENTIALS))
                self._replace(stack, lambda **options: create_engine(storage, **options))
            else:
                served = stack.enter_context(_in_the_suites_loop(members))
                self._replace(
                    stack, lambda **options: create_async_engine(served, **options).sync_engine
                )
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def _replace(self, stack: ExitStack, ours: CreateEngine) -> None:
        theirs = sqlalchemy.create_engine

        def create(url: object, **options: Any) -> Engine:  # noqa: ANN401
            if url == engines.URL:  # it is our own call
                return theirs(url, **options)
            engine = ours(**options)
            event.listen(engine, "connect", self._note)
            return engine

        sqlalchemy.create_engine = create
        stack.callback(setattr, sqlalchemy, "create_engine", theirs)

    def _note(self, _: object, entry: Any) -> None:  # noqa: ANN401
        self.drivers.add(type(entry.driver_connection).__name__)


@contextmanager
def _members() -> Iterator[list[Member]]:
    """One, that waits for its standby with each commit."""
    with tempfile.TemporaryDirectory(prefix="bascule-suite-") as name:
        folder = Path(name)
        with (
            local_postgres(folder, settings=SETTINGS) as server,
            wal_receiver(server, folder),
            rest_apis(True) as (answers,),
        ):
            server.set("synchronous_standby_names", STANDBYS)
            server.query("CREATE SCHEMA test_schema")
            yield [answers.member(server)]


@contextmanager
def _in_the_suites_loop(members: list[Member]) -> Iterator[Storage]:
    """The suite runs each test in one and the same event loop: the storage must live in it."""
    ended = asyncio.Event()

    async def serve(ready: asyncio.Future[Storage]) -> None:
        async with Storage(members, CREDENTIALS) as storage:
            ready.set_result(storage)
            await ended.wait()

    async def start() -> tuple[asyncio.Task[None], Storage]:
        ready: asyncio.Future[Storage] = asyncio.get_running_loop().create_future()
        return asyncio.create_task(serve(ready)), await ready

    async def stop(task: asyncio.Task[None]) -> None:
        ended.set()
        await task

    task, storage = suite_asyncio._run_coroutine_function(start)
    try:
        yield storage
    finally:
        suite_asyncio._run_coroutine_function(stop, task)
