"""SQLAlchemy's ORM in units of work: exactly once, also through a failover.

The session works on the very connection of the unit of work, in its transaction, so that what it
flushes and the id row are committed together or not at all. The function may be called several
times, each time with a fresh session; a commit in doubt is resolved by the id row, as in any unit
of work.

In the function, ``session.commit()`` keeps what was done so far, ``session.rollback()`` undoes what
was done since, and ``begin_nested()`` works: the session lives in a savepoint of the transaction
(SQLAlchemy manual, "Joining a Session into an External Transaction"). What is kept is **committed
when the function has returned**, by the unit of work, and not before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar, Unpack

import psycopg
import sqlalchemy
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg, PGDialectAsync_psycopg
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from replication.access.problems import Problem, refuse_if
from replication.reads.reader import Read
from replication.sqlalchemy.engines import refuse_options
from replication.storage import Storage
from replication.sync.storage import SyncStorage, SyncTransaction
from replication.units.decorator import SyncUnitOfWork, UnitOfWork
from replication.units.durability import Durability, Isolation
from replication.units.token import Token
from replication.units.unit import Applied, Transaction
from replication.wire import AsyncLentConnection, LentConnection

T = TypeVar("T")
P = ParamSpec("P")

JOINS = "create_savepoint"


class RunOptions(TypedDict, total=False):
    """Those of ``Storage.run``."""

    deadline_s: float | None
    durability: Durability | None
    isolation: Isolation | None
    statement_timeout_s: float | None
    repeatable: bool


class ReadOptions(TypedDict, total=False):
    """Those of ``Storage.read``."""

    max_staleness_s: float | None
    after: Token | None
    isolation: Isolation | None
    deadline_s: float | None


class UnitDialect(PGDialect_psycopg):
    """PostgreSQL through psycopg, where the unit of work commits, rolls back and closes."""

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[PGDialectAsync_psycopg]:
        """As SQLAlchemy's."""
        return AsyncUnitDialect

    def do_commit(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """The unit of work does."""

    def do_rollback(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """The unit of work does."""

    def do_close(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """It goes back to the unit of work."""

    def do_terminate(self, dbapi_connection: Any) -> None:  # noqa: ANN401
        """It goes back to the unit of work."""


class AsyncUnitDialect(UnitDialect, PGDialectAsync_psycopg):
    """The same for the event loop."""

    supports_statement_cache = True


registry.register("bascule.unit", __name__, "UnitDialect")

_UNIT_URL = "bascule+unit://"

_CONNECTION = "the connection is that of the unit of work"
_OF_THE_UNIT: Mapping[str, str] = {
    "connect_args": _CONNECTION,
    "client_encoding": _CONNECTION,
    "poolclass": f"there is no pool: {_CONNECTION}",
    "isolation_level": "give isolation to run or read",
    "skip_autocommit_rollback": "there is no autocommit in a unit of work",
    "postgresql_readonly": "use read",
    "postgresql_deferrable": "a unit of work is not deferrable",
}
"""Options that have no meaning in a transaction that the unit of work has begun."""

_lent: ContextVar[LentConnection] = ContextVar("lent")
_async_lent: ContextVar[AsyncLentConnection] = ContextVar("async_lent")


class Orm:
    """ORM sessions in the units of work and the reads of a storage, for threads.

    Args:
        storage: open when it is used.
        sessions: makes the sessions. By default their objects stay usable after the unit of work
            (``expire_on_commit=False``).
        engine_options: of ``sqlalchemy.create_engine``, except those of connections and their pool,
            which belong to the unit of work.

    Raises:
        ConfigError: an option has no meaning here; the message says why.
    """

    def __init__(
        self,
        storage: SyncStorage,
        sessions: sessionmaker[Session] | None = None,
        **engine_options: Any,  # noqa: ANN401
    ) -> None:
        _refuse_options("Orm", engine_options)
        self.storage = storage
        self._sessions = sessions or sessionmaker(expire_on_commit=False)
        self._engine: Engine = sqlalchemy.create_engine(
            _UNIT_URL, creator=_lent.get, poolclass=NullPool, **engine_options
        )

    def run(
        self,
        fn: Callable[[Session], T],
        *,
        unit_id: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Applied[T]:
        """Apply ``fn`` in one transaction, exactly once; arguments and errors of ``Storage.run``.

        An error of the database that leaves ``fn`` ends the unit as psycopg's error, not
        SQLAlchemy's: ``NotApplied.__cause__`` has it.
        """
        return self.storage.run(lambda tx: self._with_session(tx, fn), unit_id=unit_id, **options)

    def read(self, fn: Callable[[Session], T], **options: Unpack[ReadOptions]) -> Read[T]:
        """Run ``fn`` in a read-only transaction; arguments and errors of ``Storage.read``."""
        return self.storage.read(lambda tx: self._with_session(tx, fn), **options)

    def unit_of_work(
        self, **options: Unpack[RunOptions]
    ) -> Callable[[Callable[Concatenate[Session, P], T]], SyncUnitOfWork[Session, P, T]]:
        """A decorator: the function, whose first argument is the session, becomes one that runs
        itself as a unit of work; see ``Storage.unit_of_work``."""

        def decorate(fn: Callable[Concatenate[Session, P], T]) -> SyncUnitOfWork[Session, P, T]:
            return SyncUnitOfWork(
                fn, lambda bound, unit_id: self.run(bound, unit_id=unit_id, **options)
            )

        return decorate

    def _with_session(self, transaction: SyncTransaction, fn: Callable[[Session], T]) -> T:
        with _psycopgs_errors(), transaction.connection(_adapters_of(self._engine)) as lent:
            token = _lent.set(lent)
            try:
                with (
                    self._engine.connect() as connection,
                    connection.begin(),
                    self._sessions(bind=connection, join_transaction_mode=JOINS) as session,
                ):
                    value = fn(session)
                    session.commit()
                    return value
            finally:
                _lent.reset(token)


class AsyncOrm:
    """ORM sessions in the units of work and the reads of a storage, for the event loop.

    The arguments are those of ``Orm``.
    """

    def __init__(
        self,
        storage: Storage,
        sessions: async_sessionmaker[AsyncSession] | None = None,
        **engine_options: Any,  # noqa: ANN401
    ) -> None:
        async def creator() -> AsyncLentConnection:
            return _async_lent.get()

        _refuse_options("AsyncOrm", engine_options)
        self.storage = storage
        self._sessions = sessions or async_sessionmaker(expire_on_commit=False)
        self._engine: AsyncEngine = create_async_engine(
            _UNIT_URL, async_creator=creator, poolclass=NullPool, **engine_options
        )

    async def run(
        self,
        fn: Callable[[AsyncSession], Awaitable[T]],
        *,
        unit_id: str | None = None,
        **options: Unpack[RunOptions],
    ) -> Applied[T]:
        """As ``Orm.run``."""
        return await self.storage.run(
            lambda tx: self._with_session(tx, fn), unit_id=unit_id, **options
        )

    async def read(
        self, fn: Callable[[AsyncSession], Awaitable[T]], **options: Unpack[ReadOptions]
    ) -> Read[T]:
        """As ``Orm.read``."""
        return await self.storage.read(lambda tx: self._with_session(tx, fn), **options)

    def unit_of_work(
        self, **options: Unpack[RunOptions]
    ) -> Callable[
        [Callable[Concatenate[AsyncSession, P], Awaitable[T]]], UnitOfWork[AsyncSession, P, T]
    ]:
        """As ``Orm.unit_of_work``."""

        def decorate(
            fn: Callable[Concatenate[AsyncSession, P], Awaitable[T]],
        ) -> UnitOfWork[AsyncSession, P, T]:
            async def run(
                bound: Callable[[AsyncSession], Awaitable[T]], unit_id: str | None
            ) -> Applied[T]:
                return await self.run(bound, unit_id=unit_id, **options)

            return UnitOfWork(fn, run)

        return decorate

    async def _with_session(
        self, transaction: Transaction, fn: Callable[[AsyncSession], Awaitable[T]]
    ) -> T:
        adapters = _adapters_of(self._engine.sync_engine)
        with _psycopgs_errors():
            async with transaction.connection(adapters) as lent:
                token = _async_lent.set(lent)
                try:
                    async with (
                        self._engine.connect() as connection,
                        connection.begin(),
                        self._sessions(bind=connection, join_transaction_mode=JOINS) as session,
                    ):
                        value = await fn(session)
                        await session.commit()
                        return value
                finally:
                    _async_lent.reset(token)


def _adapters_of(engine: Engine) -> Any:  # noqa: ANN401
    """The adapters that an engine's dialect needs on its connections (a psycopg ``AdaptContext``,
    or None). A creator must set them itself."""
    return engine.dialect.create_connect_args(engine.url)[1].get("context")


def _refuse_options(source: str, options: Mapping[str, Any]) -> None:
    execution = options.get("execution_options") or {}
    given = {**options, **{key: execution[key] for key in execution if key in _OF_THE_UNIT}}
    refuse_if(
        source,
        [
            Problem(key=key, words=f"refused: {why}")
            for key, why in _OF_THE_UNIT.items()
            if given.get(key) is not None
        ],
    )
    refuse_options(source, options)


@contextmanager
def _psycopgs_errors() -> Iterator[None]:
    """Unwraps SQLAlchemy's errors: the unit of work decides by the driver's own."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise
