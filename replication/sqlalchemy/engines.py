"""SQLAlchemy engines whose connections come from a storage. Needs SQLAlchemy 2.

SQLAlchemy keeps its own pool; the storage opens its connections, to the primary, with its own
credentials and TLS, and keeps track of them (``lender.Lender``). So a connection is handed out only
after its server was asked, just then, whether it is still the primary; all are cut when another
member becomes it; and an error that says that the server must not be used (``failures``)
invalidates the pool, though the connection is technically alive.

What an engine is asked for is applied, or refused with the reason (``arguments``).

An engine does not retry, and does not resolve a commit in doubt (``CommitInDoubt``). ``orm`` runs
ORM sessions in units of work, which do both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg
import sqlalchemy
from psycopg import sql
from psycopg.pq.abc import PGconn
from sqlalchemy import Engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg, PGDialectAsync_psycopg
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError, InvalidRequestError
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from replication.access.problems import Problem, refuse_if
from replication.errors import CommitInDoubt
from replication.failures import is_lost
from replication.primary.lender import Lent
from replication.primary.read_only import Replaced
from replication.sqlalchemy.arguments import Wanted, read_arguments
from replication.storage import Storage
from replication.sync.storage import SyncStorage
from replication.wire import AsyncLentConnection, LentConnection, Session, failure_of

URL = "postgresql+bascule://"
"""All else comes from the storage. The dialect's ``name`` is postgresql, its ``driver`` psycopg."""

_INSTEAD: Mapping[str, str] = {
    "url": "the storage has the address, and who connects",
    "creator": "connections come from the storage",
    "async_creator": "connections come from the storage",
    "pool": "its connections would not come from the storage; give poolclass, pool_size...",
    "dialect": "it is the storage's",
    "module": "lent connections are those of psycopg",
}


class StorageDialect(PGDialect_psycopg):
    """PostgreSQL through psycopg, with connections that a storage opens."""

    supports_statement_cache = True
    opener: Callable[[Wanted], Any]

    @classmethod
    def get_async_dialect_cls(cls, url: sqlalchemy.URL) -> type[PGDialectAsync_psycopg]:
        """As SQLAlchemy's."""
        return AsyncStorageDialect

    def connect(self, *cargs: Any, **cparams: Any) -> Any:  # noqa: ANN401
        """Called by the pool, after the listeners to ``do_connect``."""
        return self.opener(_wanted(cargs, cparams))


class AsyncStorageDialect(StorageDialect, PGDialectAsync_psycopg):
    """The same for the event loop."""

    supports_statement_cache = True
    async_opener: Callable[[Wanted], Awaitable[AsyncLentConnection]]

    def connect(self, *cargs: Any, **cparams: Any) -> Any:  # noqa: ANN401
        """As ``StorageDialect.connect``; SQLAlchemy wraps what the storage lends."""
        wanted = _wanted(cargs, cparams)
        return self.loaded_dbapi.connect(async_creator_fn=lambda: self.async_opener(wanted))


registry.register("postgresql.bascule", __name__, "StorageDialect")


def create_engine(
    storage: SyncStorage,
    *,
    connect_deadline_s: float | None = None,
    **options: Any,  # noqa: ANN401 - SQLAlchemy's own, which has some forty
) -> Engine:
    """As ``sqlalchemy.create_engine``, always connected to the present primary of ``storage``.

    Args:
        storage: open for as long as the engine is used.
        connect_deadline_s: for getting a connection; the settings' deadline if None.
        options: of ``sqlalchemy.create_engine``; see docs/use/sqlalchemy.md for ``connect_args``.

    Raises:
        ConfigError: an option has no meaning here; the message says why.

    Raises, when it is used:
        NoPrimary: there was no connection in time.
        ReadOnly: the primary takes no writes.
        CommitInDoubt: it is not known whether a transaction was committed.
        sqlalchemy.exc.DBAPIError: as always.
    """

    def open_connection(wanted: Wanted) -> LentConnection:
        opened: list[LentConnection] = []

        async def open_one(storage: Storage) -> LentConnection:
            session, pgconn = await _open_session(storage, connect_deadline_s, wanted)
            lent = LentConnection(session, pgconn, context=wanted.context)
            storage.lender.register(lent.line)
            opened.append(lent)
            return lent

        try:
            lent = storage.call(open_one)
            lent.autocommit = wanted.autocommit
        except BaseException:  # also for an interrupt that comes just after it was opened
            for lent in opened:
                lent.session.abandon()
            raise
        _apply_attributes(lent, wanted)
        return lent

    refuse_options("create_engine", options)
    engine = sqlalchemy.create_engine(URL, **options)
    assert isinstance(engine.dialect, StorageDialect)
    engine.dialect.opener = open_connection

    def check(connection: object, entry: ConnectionPoolEntry, proxy: object) -> None:
        lent = _lent(entry)
        _check_out(
            lent, lambda: storage.call(lambda storage: storage.lender.check_lent(lent.session))
        )

    def note_error(lent: Lent, error: BaseException) -> None:
        async def tell(storage: Storage) -> None:
            storage.lender.note_error(lent.session, error)

        storage.call(tell)

    _listen(engine, check, note_error)
    return engine


def create_async_engine(
    storage: Storage,
    *,
    connect_deadline_s: float | None = None,
    **options: Any,  # noqa: ANN401 - SQLAlchemy's own, which has some forty
) -> AsyncEngine:
    """As ``sqlalchemy.ext.asyncio.create_async_engine``; see ``create_engine``."""

    async def open_connection(wanted: Wanted) -> AsyncLentConnection:
        session, pgconn = await _open_session(storage, connect_deadline_s, wanted)
        lent = AsyncLentConnection(session, pgconn, context=wanted.context)
        try:
            await lent.set_autocommit(wanted.autocommit)
        except BaseException:
            session.abandon()
            raise
        _apply_attributes(lent, wanted)
        storage.lender.register(lent.line)
        return lent

    refuse_options("create_async_engine", options)
    engine = sqlalchemy_asyncio.create_async_engine(URL, **options)
    assert isinstance(engine.dialect, AsyncStorageDialect)
    engine.dialect.async_opener = open_connection

    def check(connection: Any, entry: ConnectionPoolEntry, proxy: object) -> None:  # noqa: ANN401
        lent = _lent(entry)
        _check_out(
            lent,
            lambda: connection.run_async(lambda _: storage.lender.check_lent(lent.session)),
        )

    def note_error(lent: Lent, error: BaseException) -> None:
        storage.lender.note_error(lent.session, error)

    _listen(engine.sync_engine, check, note_error)
    return engine


def refuse_options(source: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a storage cannot serve.

    Raises:
        ConfigError: names everything.
    """
    refuse_if(
        source,
        [
            Problem(key=key, words=f"refused: {why}")
            for key, why in _INSTEAD.items()
            if options.get(key) is not None
        ],
    )
    read_arguments(options.get("connect_args") or {})


def _wanted(cargs: tuple[Any, ...], cparams: Mapping[str, Any]) -> Wanted:
    conninfo = next((text for text in cargs if text), None)
    return read_arguments({**cparams, "conninfo": conninfo})


async def _open_session(
    storage: Storage, connect_deadline_s: float | None, wanted: Wanted
) -> tuple[Session, PGconn]:
    """A session with the wanted settings, and its connection for lending."""
    deadline_s = storage.settings.deadline_s if connect_deadline_s is None else connect_deadline_s
    session = await storage.lender.open(deadline_s)
    try:
        await _apply_settings(session, wanted)
        return session, await session.for_lending()
    except BaseException:
        session.abandon()
        raise


async def _apply_settings(session: Session, wanted: Wanted) -> None:
    """Set the server's settings for the length of the session.

    Raises:
        psycopg.Error: the server has no such setting, or not this value.
    """
    if wanted.settings:
        calls = [
            sql.SQL("set_config({}, {}, false)").format(sql.Literal(name), sql.Literal(value))
            for name, value in wanted.settings.items()
        ]
        await session.fetch(sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)))


def _apply_attributes(lent: LentConnection | AsyncLentConnection, wanted: Wanted) -> None:
    for name, value in wanted.attributes.items():
        setattr(lent, name, value)


def _lent(entry: ConnectionPoolEntry) -> Lent:
    lent = entry.driver_connection
    if not isinstance(lent, LentConnection | AsyncLentConnection):
        raise InvalidRequestError(
            "a connection that the storage has not opened (who listens to do_connect may change its"
            " arguments, not return another connection)"
        )
    return lent


def _check_out(lent: Lent, check: Callable[[], object]) -> None:
    """Check that a connection that was idle still leads to the primary."""
    if lent.line.in_use:  # it was opened just now, and its server asked then
        return
    lent.line.in_use = True
    try:
        check()
    except Replaced as error:
        raise DisconnectionError(str(error)) from error
    except psycopg.Error as error:
        raise InvalidatePoolError(str(error)) from error


def _check_in(connection: object, entry: ConnectionPoolEntry) -> None:
    if entry.driver_connection is not None:
        _lent(entry).line.in_use = False


def _listen(
    engine: Engine,
    check: Callable[[Any, ConnectionPoolEntry, object], None],
    note_error: Callable[[Lent, BaseException], None],
) -> None:
    def on_error(context: ExceptionContext) -> None:
        error = context.original_exception
        if not isinstance(error, psycopg.Error | CommitInDoubt):
            return
        if context.connection is None or context.connection.invalidated:
            return
        lent = context.connection.connection.driver_connection
        if isinstance(lent, LentConnection | AsyncLentConnection):
            cause = error.__cause__ if isinstance(error, CommitInDoubt) else error
            failure = failure_of(cause, lent.session) if isinstance(cause, psycopg.Error) else None
            # A connection closed by its program, or by a cancelled wait, says nothing about the
            # others.
            context.invalidate_pool_on_disconnect = failure is not None and is_lost(failure)
            context.is_disconnect = lent.session.is_broken or context.invalidate_pool_on_disconnect
            note_error(lent, error)

    event.listen(engine, "checkout", check)
    event.listen(engine, "checkin", _check_in)
    event.listen(engine, "handle_error", on_error)
