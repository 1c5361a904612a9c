"""SQLAlchemy engines whose connections come from a storage. Needs SQLAlchemy 2.

SQLAlchemy keeps its own pool; what it has in there was opened by the storage, to the primary, with
the storage's credentials and TLS, and is known to it (``connections.Lender``). So a connection is
handed out only after its server was asked, just then, whether it is the primary still; all are cut
when another member becomes it; and an error that says that the server is of no use
(``outcomes``) invalidates the pool, though the connection is technically alive.

An engine retries nothing, and it cannot say what became of a commit in doubt (``CommitInDoubt``).
``orm`` runs ORM sessions in units of work, which do both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from replication.connections import is_lost
from replication.errors import CommitInDoubt
from replication.storage import Storage
from replication.sync import SyncStorage
from replication.wire import AsyncLentConnection, LentConnection, Session

URL = "postgresql+psycopg://"
"""All else comes from the storage."""


def create_engine(
    storage: SyncStorage,
    *,
    connect_deadline_s: float | None = None,
    **options: Any,  # noqa: ANN401 - SQLAlchemy's own, which has some forty
) -> Engine:
    """As ``sqlalchemy.create_engine``, connected to whoever is the primary of ``storage``.

    Args:
        storage: open for as long as the engine is used.
        connect_deadline_s: for a connection to be had; the settings' deadline if None.
        options: of ``sqlalchemy.create_engine``.

    Raises, when it is used:
        NoPrimary: no connection could be had in time.
        CommitInDoubt: nobody knows whether a transaction was committed.
        sqlalchemy.exc.DBAPIError: as always.
    """

    def creator() -> LentConnection:
        opened: list[Session] = []

        async def open_one(storage: Storage) -> LentConnection:
            opened.append(await storage.lender.open(_deadline_s(storage, connect_deadline_s)))
            lent = LentConnection(
                opened[0], await opened[0].for_lending(), context=adapters_of(engine)
            )
            storage.lender.register(lent.line)
            return lent

        try:
            return storage.call(open_one)
        except BaseException:
            if opened:
                opened[0].abandon()
            raise

    engine = sqlalchemy.create_engine(URL, creator=creator, **options)

    def check(connection: object, entry: ConnectionPoolEntry, proxy: object) -> None:
        lent = _lent(entry)
        _check_out(
            lent, lambda: storage.call(lambda storage: storage.lender.check_lent(lent.session))
        )

    def judge(lent: LentConnection | AsyncLentConnection, error: BaseException) -> None:
        async def tell(storage: Storage) -> None:
            storage.lender.judge(lent.line, error)

        storage.call(tell)

    _listen(engine, check, judge)
    return engine


def create_async_engine(
    storage: Storage,
    *,
    connect_deadline_s: float | None = None,
    **options: Any,  # noqa: ANN401 - SQLAlchemy's own, which has some forty
) -> AsyncEngine:
    """As ``sqlalchemy.ext.asyncio.create_async_engine``; see ``create_engine``."""

    async def creator() -> AsyncLentConnection:
        session = await storage.lender.open(_deadline_s(storage, connect_deadline_s))
        context = adapters_of(engine.sync_engine)
        lent = AsyncLentConnection(session, await session.for_lending(), context=context)
        storage.lender.register(lent.line)
        return lent

    engine = sqlalchemy_asyncio.create_async_engine(URL, async_creator=creator, **options)

    def check(connection: Any, entry: ConnectionPoolEntry, proxy: object) -> None:  # noqa: ANN401
        lent = _lent(entry)
        _check_out(
            lent,
            lambda: connection.run_async(lambda _: storage.lender.check_lent(lent.session)),
        )

    def judge(lent: LentConnection | AsyncLentConnection, error: BaseException) -> None:
        storage.lender.judge(lent.line, error)

    _listen(engine.sync_engine, check, judge)
    return engine


def adapters_of(engine: Engine) -> Any:  # noqa: ANN401
    """The adapters that an engine's dialect wants its connections to have (a psycopg
    ``AdaptContext``, or None). A creator has to see to that itself."""
    return engine.dialect.create_connect_args(engine.url)[1].get("context")


def _deadline_s(storage: Storage, connect_deadline_s: float | None) -> float:
    return storage.settings.deadline_s if connect_deadline_s is None else connect_deadline_s


def _lent(entry: ConnectionPoolEntry) -> LentConnection | AsyncLentConnection:
    lent = entry.driver_connection
    assert isinstance(lent, LentConnection | AsyncLentConnection)
    return lent


def _check_out(lent: LentConnection | AsyncLentConnection, check: Callable[[], object]) -> None:
    """See to it that a connection that was idle is still one to the primary."""
    if lent.line.in_use:  # it was opened just now, and asked then
        return
    lent.line.in_use = True
    try:
        check()
    except psycopg.Error as error:
        raise InvalidatePoolError(str(error)) from error


def _check_in(connection: object, entry: ConnectionPoolEntry) -> None:
    if entry.driver_connection is not None:
        _lent(entry).line.in_use = False


def _listen(
    engine: Engine,
    check: Callable[[Any, ConnectionPoolEntry, object], None],
    judge: Callable[[LentConnection | AsyncLentConnection, BaseException], None],
) -> None:
    def on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        lost = isinstance(error, psycopg.Error) and is_lost(error)
        if not lost and not isinstance(error, CommitInDoubt):
            return
        context.is_disconnect = True
        if context.connection is not None and not context.connection.invalidated:
            lent = context.connection.connection.driver_connection
            if isinstance(lent, LentConnection | AsyncLentConnection):
                judge(lent, error)

    event.listen(engine, "checkout", check)
    event.listen(engine, "checkin", _check_in)
    event.listen(engine, "handle_error", on_error)
