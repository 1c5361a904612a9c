"""``Storage`` for synchronous code: the same promises, results and errors, from any thread.

A ``SyncStorage`` runs an asynchronous one in a separate thread. The functions of units of work run
in the thread that calls ``run``, never in that one (``handoff``).

It does not survive a fork: the child has no copy of the thread, and two processes must not use one
connection. Programs that fork (gunicorn with ``preload_app``, multiprocessing) must open one in
every child; an inherited one raises ``NotOpen`` and leaves the parent's connections alone.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import psycopg
from psycopg.abc import AdaptContext
from psycopg.rows import TupleRow

from replication.access.credentials import Credentials
from replication.config.settings import Dcs, StorageConfig, StorageSettings
from replication.errors import Facts, NotOpen
from replication.observability.events import Observer
from replication.open import open_storage
from replication.patroni.answers import Ask
from replication.patroni.client import RestClient
from replication.patroni.members import Member
from replication.reads.reader import Read
from replication.reads.streams.options import StreamOptions
from replication.storage import Storage
from replication.sync.handoff import Handoff, ThreadCall
from replication.sync.loop_thread import LoopThread, start_loop_thread
from replication.sync.streams import SyncReadStream, opened_in
from replication.units.decorator import SyncUnitOfWork
from replication.units.durability import Durability, Isolation
from replication.units.token import Token
from replication.units.unit import Applied, Outcome, Result, Transaction
from replication.wire import LentConnection, Params, Query, Session

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")
P = ParamSpec("P")


class SyncTransaction:
    """What the function of a unit of work receives. Valid only until the function returns, and only
    in its thread."""

    __slots__ = ("_call", "_transaction")

    def __init__(self, transaction: Transaction, call: ThreadCall[Any]) -> None:
        self._transaction = transaction
        self._call = call

    @property
    def node(self) -> str:
        """The member that the transaction runs on."""
        return self._transaction.node

    def execute(self, query: Query, params: Params | None = None) -> Result:
        """As ``Transaction.execute``."""
        return self._call.ask(lambda: self._transaction.execute(query, params))

    @contextmanager
    def connection(self, context: AdaptContext | None = None) -> Iterator[LentConnection]:
        """As ``Transaction.connection``, in the thread of the function."""
        session = self._transaction.session
        pgconn = self._call.ask(session.for_lending)
        lent = LentConnection(session, pgconn, context=context, in_unit=True)
        try:
            with self._call.interruptible(lent.line.cut):
                yield lent
        finally:
            lent.detach()


class SyncStorage:
    """A Patroni cluster, for threads. A context manager, or ``open`` and ``close``.

    Args:
        members: every PostgreSQL of the cluster.
        credentials: who connects to what.
        settings: everything that has a default.
        observers: as for ``Storage``; called in the storage's own thread, where they must not call
            the storage.
        dcs: as for ``Storage``.
        rest: as for ``Storage``.
        ask: as for ``Storage``.
        listed: as for ``Storage``.
        patroni: as for ``Storage``.
        clock: as for ``Storage``.
    """

    def __init__(  # noqa: PLR0913 (as Storage)
        self,
        members: Sequence[Member],
        credentials: Credentials,
        *,
        settings: StorageSettings | None = None,
        observers: Sequence[Observer] = (),
        dcs: Dcs | None = None,
        rest: RestClient | None = None,
        ask: Ask | None = None,
        listed: Sequence[Member] | None = None,
        patroni: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make: Callable[[], AbstractAsyncContextManager[Storage]] = lambda: Storage(
            members,
            credentials,
            settings=settings,
            observers=observers,
            dcs=dcs,
            rest=rest,
            ask=ask,
            listed=listed,
            patroni=patroni,
            clock=clock,
        )
        self._lock = threading.Lock()
        self._home: LoopThread | None = None
        self._pid = 0

    @classmethod
    def from_config(cls, config: StorageConfig, *, observers: Sequence[Observer] = ()) -> Self:
        """One made from a configuration (``load_config``, ``from_dsn``).

        What ``open_storage`` raises comes when it is opened.
        """
        storage = cls((), config.credentials)
        storage._make = lambda: open_storage(config, observers=observers)
        return storage

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start it, without waiting for the cluster. Another call changes nothing while it is
        open."""
        with self._lock:
            if self._home is None or self._pid != os.getpid():
                self._home, self._pid = start_loop_thread(self._make), os.getpid()

    def close(self) -> None:
        """Wait for the calls of other threads, then close every connection. May be called again."""
        with self._lock:
            home, self._home = self._home, None
        if home is not None and self._pid == os.getpid():  # else it is the parent's
            home.stop()

    @property
    def storage(self) -> Storage:
        """The asynchronous storage; use it in its own thread only (``call``).

        Raises:
            NotOpen: there is none.
        """
        return self._require_open().storage

    @property
    def members(self) -> tuple[Member, ...]:
        """As ``Storage.members``."""
        return self.storage.members

    @property
    def primary(self) -> str | None:
        """The member believed to be the primary, None while it is being looked for."""
        return self.storage.primary

    def observe(self, observer: Observer) -> None:
        """Send every event from now on to ``observer``, in the storage's own thread."""
        self.storage.observe(observer)

    def run(  # noqa: PLR0913 (one a promise)
        self,
        fn: Callable[[SyncTransaction], T],
        *,
        unit_id: str | None = None,
        deadline_s: float | None = None,
        durability: Durability | None = None,
        isolation: Isolation | None = None,
        statement_timeout_s: float | None = None,
        repeatable: bool = True,
    ) -> Applied[T]:
        """Apply ``fn`` in one transaction, exactly once; everything as ``Storage.run`` says.

        ``fn`` is called in this thread. The deadline ends its statements, but not what it does
        between them: Python cannot stop a thread. An interrupt (Ctrl-C) is raised here unchanged,
        and the connection is closed; ask ``outcome`` whether the unit was applied.
        """
        storage, handoff = self.storage, self.crossing()

        async def unit(transaction: Transaction) -> T:
            return await handoff.in_thread(
                lambda call: _result(fn(SyncTransaction(transaction, call)))
            )

        return handoff.call(
            lambda: storage.run(
                unit,
                unit_id=unit_id,
                deadline_s=deadline_s,
                durability=durability,
                isolation=isolation,
                statement_timeout_s=statement_timeout_s,
                repeatable=repeatable,
            )
        )

    def unit_of_work(
        self,
        *,
        deadline_s: float | None = None,
        durability: Durability | None = None,
        isolation: Isolation | None = None,
        statement_timeout_s: float | None = None,
        repeatable: bool = True,
    ) -> Callable[
        [Callable[Concatenate[SyncTransaction, P], T]], SyncUnitOfWork[SyncTransaction, P, T]
    ]:
        """A decorator: as ``Storage.unit_of_work``."""

        def decorate(
            fn: Callable[Concatenate[SyncTransaction, P], T],
        ) -> SyncUnitOfWork[SyncTransaction, P, T]:
            return SyncUnitOfWork(
                fn,
                lambda bound, unit_id: self.run(
                    bound,
                    unit_id=unit_id,
                    deadline_s=deadline_s,
                    durability=durability,
                    isolation=isolation,
                    statement_timeout_s=statement_timeout_s,
                    repeatable=repeatable,
                ),
            )

        return decorate

    def read(
        self,
        fn: Callable[[SyncTransaction], T],
        *,
        max_staleness_s: float | None = None,
        after: Token | None = None,
        isolation: Isolation | None = None,
        deadline_s: float | None = None,
    ) -> Read[T]:
        """Run ``fn`` in one read-only transaction; everything as ``Storage.read`` says."""
        storage, handoff = self.storage, self.crossing()

        async def reading(transaction: Transaction) -> T:
            return await handoff.in_thread(
                lambda call: _result(fn(SyncTransaction(transaction, call)))
            )

        return handoff.call(
            lambda: storage.read(
                reading,
                max_staleness_s=max_staleness_s,
                after=after,
                isolation=isolation,
                deadline_s=deadline_s,
            )
        )

    def read_stream(
        self,
        query: Query,
        params: Params | None = None,
        *,
        key: str | Sequence[str],
        **options: Unpack[StreamOptions],
    ) -> AbstractContextManager[SyncReadStream[list[TupleRow]]]:
        """Read many rows, in key order, as lists of tuples; everything as ``Storage.read_stream``
        says. A deadline counts only while the stream is fetching."""
        home = self._require_open()
        stream = home.storage.read_stream(query, params, key=key, **options)
        return opened_in(home, stream, self.crossing)

    def read_arrow_stream(
        self,
        query: Query,
        params: Params | None = None,
        *,
        key: str | Sequence[str],
        **options: Unpack[StreamOptions],
    ) -> AbstractContextManager[SyncReadStream[pyarrow.RecordBatch]]:
        """As ``read_stream``, as record batches of Arrow; needs the extra ``bascule[arrow]``."""
        home = self._require_open()
        stream = home.storage.read_arrow_stream(query, params, key=key, **options)
        return opened_in(home, stream, self.crossing)

    def outcome(
        self, unit_id: str, *, deadline_s: float | None = None, durability: Durability | None = None
    ) -> Outcome:
        """What became of a unit of work, for good; as ``Storage.outcome``."""
        return self.call(
            lambda storage: storage.outcome(unit_id, deadline_s=deadline_s, durability=durability)
        )

    @contextmanager
    def connection(
        self, *, deadline_s: float | None = None
    ) -> Iterator[psycopg.Connection[TupleRow]]:
        """A psycopg connection to the primary, as ``psycopg_pool`` lends it.

        Everything as ``Storage.connection`` says. For this thread; do not pass it on.
        """
        lender = self.storage.lender
        within_s = self.storage.settings.deadline_s if deadline_s is None else deadline_s
        taken: list[Session] = []
        lent: LentConnection | None = None

        async def take() -> LentConnection:
            taken.append(await lender.take(within_s))
            connection = LentConnection(taken[0], await taken[0].for_lending())
            lender.register(connection.line)
            return connection

        async def give_back(error: BaseException | None) -> None:
            if lent is not None:
                lender.note_error(lent.session, error)
                lender.forget(lent.line)
            if taken:
                await lender.give_back(taken[0])

        failed: BaseException | None = None
        try:
            lent = self.crossing().call(take)
            yield lent
            if lent.needs_commit():
                lent.commit()
        except BaseException as error:
            failed = error
            raise
        finally:
            if lent is not None:
                lent.detach()
            self.crossing().call(lambda: give_back(failed))

    def call(self, fn: Callable[[Storage], Awaitable[T]]) -> T:
        """Run ``fn`` with the asynchronous storage, in its thread: for functions that take a
        ``Storage``."""
        storage = self.storage
        return self.crossing().call(lambda: fn(storage))

    def crossing(self) -> Handoff:
        """A way into the storage's thread, for one call.

        Raises:
            NotOpen: there is none.
        """
        home = self._require_open()
        return Handoff(home.portal, home.loop)

    def _require_open(self) -> LoopThread:
        home = self._home
        if home is not None and self._pid == os.getpid():
            return home
        if home is None:
            words = "the storage is not open: enter it first, or call open()"
        else:
            words = "the storage was opened by the process that forked this one: open one here"
        facts = Facts(unit_id=None, node=None, sqlstate=None, elapsed_s=0.0, attempts=0)
        raise NotOpen(words, **facts)


def _result(value: T) -> T:
    """What the function returned.

    Raises:
        TypeError: it is asynchronous, so it has done nothing that could be committed.
    """
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("the function is asynchronous; a SyncStorage runs ordinary ones")
    return value
