"""The cluster, as an application sees it: units of work and reads, whichever member is the primary.

``Storage`` owns the parts and their tasks, and does nothing itself: ``runner`` runs units of work,
``reader`` serves reads, ``watch`` finds the primary, ``admission`` refuses when nothing works.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar, Unpack

import anyio
import psycopg
from psycopg.rows import TupleRow

from replication.access.credentials import Credentials
from replication.config.settings import Dcs, StorageSettings
from replication.errors import StorageError
from replication.lasting import lasting
from replication.observability.events import MemberChanged, Observer, Observers, ReadEnded
from replication.patroni.answers import Ask
from replication.patroni.client import RestClient
from replication.patroni.members import Member
from replication.patroni.membership import Membership
from replication.primary import read_only
from replication.primary.leader_watch import LeaderWatch
from replication.primary.lender import Lender
from replication.primary.pacing import ROLL_INTERVALS
from replication.primary.router import Router
from replication.primary.waits import Talks
from replication.primary.watch import Watch
from replication.reads.promises import Demand
from replication.reads.reader import Read, Reader
from replication.reads.streams.arrow import RecordBatches
from replication.reads.streams.forms import Rows
from replication.reads.streams.options import StreamOptions, plan_of
from replication.reads.streams.stream import ReadStream, opened
from replication.units.admission import Gate
from replication.units.decorator import UnitOfWork
from replication.units.durability import Durability, Isolation, plan
from replication.units.outcome import ask_outcome
from replication.units.runner import UnitRunner
from replication.units.token import Token
from replication.units.unit import Applied, Outcome, Transaction, Unit
from replication.wire import Params, Query, Session, failure_of

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")
P = ParamSpec("P")


class Storage:
    """A Patroni cluster. An async context manager; see ``run`` and ``read``.

    Enter and leave it in the same task: it owns a task group.

    Args:
        members: every PostgreSQL of the cluster, as far as they are known now.
        credentials: who connects to what.
        settings: everything that has a default.
        observers: get every event (``events``), beside the log.
        dcs: where etcd has the leader key; without it a failover is noticed a little later.
        rest: asks the members' Patroni; one without client certificate if None.
        ask: how a member is asked for its role; ``rest`` if None.
        listed: those that are members for good, whatever Patroni says (``membership``); all of
            ``members`` if None.
        patroni: addresses of Patroni's REST API that are asked who the members are, beside theirs.
        clock: monotonic seconds; what ``attempt_s`` and ``elapsed_s`` are measured with.
    """

    def __init__(  # noqa: PLR0913 (all but two have a default)
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
        self.settings = settings or StorageSettings()
        self._clock = clock
        self._observers = Observers(observers)
        self._dcs = dcs
        self._rest = rest or RestClient(clock=clock)
        self._watch = Watch(
            members, ask or self._rest.ask, interval_s=self.settings.watch_interval_s, clock=clock
        )
        self._talks = Talks(clock)
        self._router = Router(
            self._watch,
            credentials,
            self._talks,
            self._observers,
            size=self.settings.sessions_max,
            replica_size=self.settings.replica_sessions_max,
            connect_deadline_s=self.settings.connect_deadline_s,
            clock=clock,
        )
        self._runner = UnitRunner(self._router, self._talks, self._observers, clock)
        self._reader = Reader(
            self._router,
            self._talks,
            self._rest.history,
            prefer_site=self.settings.prefer_site,
            clock=clock,
        )
        self._gate = Gate(
            after=self.settings.circuit_after,
            open_s=self.settings.circuit_open_s,
            observers=self._observers,
            clock=clock,
            is_searching=lambda: self._watch.is_searching,
        )
        self._membership = Membership(
            self._watch,
            self._watch.ask,
            self._rest.cluster,
            self._member_changed,
            listed=members if listed is None else listed,
            endpoints=patroni,
            interval_s=ROLL_INTERVALS * self.settings.watch_interval_s,
            clock=clock,
        )
        self._watch.listen(self._gate)
        self._watch.listen(self._membership)
        self._opened_with = frozenset(member.name for member in members)
        self.lender = Lender(self._router, clock)
        """For code that keeps connections of its own (``engines``)."""
        self._owned = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._owned.enter_async_context(anyio.create_task_group())
        self._owned.push_async_callback(self._rest.aclose)
        self._owned.callback(self._router.close)
        self._owned.callback(group.cancel_scope.cancel)
        await group.start(self._router.run)
        group.start_soon(lasting, self._watch.run, "questions to the members")
        group.start_soon(lasting, self._reader.run, "tasks beside the reads")
        if self.settings.membership == "followed":
            group.start_soon(self._membership.run)
        if self._dcs is not None:
            group.start_soon(LeaderWatch(self._dcs).follow, self._leader_changed)
        group.start_soon(self._talks.watch_overdue, self._watch.doubt)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The task group must see a cancellation, but an ordinary error of the caller's block would
        # come out of it wrapped in an ExceptionGroup, which the caller would not expect.
        if isinstance(exc, Exception):
            await self._owned.aclose()
        else:
            await self._owned.__aexit__(exc_type, exc, traceback)

    @property
    def members(self) -> tuple[Member, ...]:
        """Every PostgreSQL of the cluster, as far as they are known now."""
        return tuple(self._watch.members.values())

    @property
    def primary(self) -> str | None:
        """The member believed to be the primary, None while it is being looked for."""
        return self._router.primary

    def observe(self, observer: Observer) -> None:
        """Send every event to ``observer`` from now on."""
        self._observers.add(observer)

    async def run(  # noqa: PLR0913 (one a promise)
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        unit_id: str | None = None,
        deadline_s: float | None = None,
        durability: Durability | None = None,
        isolation: Isolation | None = None,
        statement_timeout_s: float | None = None,
        repeatable: bool = True,
    ) -> Applied[T]:
        """Apply ``fn`` in one transaction, exactly once.

        Args:
            fn: may be called several times, always in a fresh transaction; what it does outside of
                the transaction (a mail) may happen several times, see ``repeatable``.
            unit_id: the idempotency key, unique among all units of work of the database; drawn
                if None, and then only the caller of this call can ask about it.
            deadline_s: for everything together, all attempts and questions included; the
                settings' if None.
            durability: what must hold before this returns; the settings' if None.
            isolation: the server's default if None. Serialization failures are run again.
            statement_timeout_s: for each statement; the settings' if None.
            repeatable: False if ``fn`` must not be called twice by this call. It is then called
                only once the transaction has begun for certain; what fails after that is not
                tried again (``NotRepeated``), but a commit in doubt is still resolved.

        Returns:
            What ``fn`` returned, and where the transaction was written.

        Raises:
            NotApplied: it did not take effect; its kinds say why, and what would help.
            Unknown: the commit was in doubt and could not be resolved before the deadline.
            NotDurable: it took effect, but not every site confirmed it in time.
            AlreadyApplied: another call with this ``unit_id`` took effect.
            ValueError: no such durability or isolation; or durability ``all_sites`` with members
                whose site is not known.
            Exception: what ``fn`` itself raised; the transaction was rolled back.
        """
        settings = self.settings
        asked = durability or settings.durability
        unit = Unit(
            id=unit_id if unit_id is not None else uuid.uuid4().hex,
            fn=fn,
            plan=plan(
                asked,
                isolation=isolation,
                statement_timeout_s=statement_timeout_s or settings.statement_timeout_s,
            ),
            started_s=self._clock(),
            repeatable=repeatable,
        )
        if asked == "all_sites":
            self._require_sites()
        self._gate.admit(unit)
        try:
            applied = await self._runner.run(
                unit, settings.deadline_s if deadline_s is None else deadline_s
            )
        except BaseException as error:
            self._gate.failed(unit, error)
            raise
        self._gate.succeeded(unit, applied)
        return applied

    def unit_of_work(
        self,
        *,
        deadline_s: float | None = None,
        durability: Durability | None = None,
        isolation: Isolation | None = None,
        statement_timeout_s: float | None = None,
        repeatable: bool = True,
    ) -> Callable[
        [Callable[Concatenate[Transaction, P], Awaitable[T]]], UnitOfWork[Transaction, P, T]
    ]:
        """A decorator: the function becomes one that runs itself as a unit of work.

        The arguments are those of ``run``. The function gets the transaction as its first
        argument; its callers do not pass that. ``await fn.run("order-17", ...)`` gives the unit an
        id and returns ``Applied``; ``await fn(...)`` draws one and returns only the value.
        """

        def decorate(
            fn: Callable[Concatenate[Transaction, P], Awaitable[T]],
        ) -> UnitOfWork[Transaction, P, T]:
            async def run(
                bound: Callable[[Transaction], Awaitable[T]], unit_id: str | None
            ) -> Applied[T]:
                return await self.run(
                    bound,
                    unit_id=unit_id,
                    deadline_s=deadline_s,
                    durability=durability,
                    isolation=isolation,
                    statement_timeout_s=statement_timeout_s,
                    repeatable=repeatable,
                )

            return UnitOfWork(fn, run)

        return decorate

    async def read(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        max_staleness_s: float | None = None,
        after: Token | None = None,
        isolation: Isolation | None = None,
        deadline_s: float | None = None,
    ) -> Read[T]:
        """Run ``fn`` in one read-only transaction.

        Without ``max_staleness_s`` and ``after`` it runs on the primary. With them it runs on the
        nearest member that keeps the promise, the primary being the last resort.

        Args:
            fn: may be called several times, possibly on different members.
            max_staleness_s: everything that was committed longer ago than that is seen. It needs a
                primary that acknowledges commits to this process within that time, its own or
                small ones that are made for this.
            after: what the token stands for is seen (``Applied.token``), on whatever timeline.
            isolation: the server's default if None.
            deadline_s: for everything together; the settings' if None.

        Returns:
            What ``fn`` returned, who served it, and how old it may be.

        Raises:
            ReadFailed: no member could serve it in time, or the statement was wrong.
            TokenLost: the token's write was taken away by a failover.
            NotAdmitted: the server does not let us in.
            Exception: what ``fn`` itself raised.
        """
        demand = Demand(max_staleness_s=max_staleness_s, after=after, isolation=isolation)
        return await self._read(
            fn, demand, self.settings.deadline_s if deadline_s is None else deadline_s
        )

    def read_stream(
        self,
        query: Query,
        params: Params | None = None,
        *,
        key: str | Sequence[str],
        **options: Unpack[StreamOptions],
    ) -> AbstractAsyncContextManager[ReadStream[list[TupleRow]]]:
        """Read many rows, in key order, from a replica, as lists of tuples.

        When the member that serves it fails, the next one goes on behind the last key: nothing
        twice, nothing missing. Members that are tagged ``reader`` in Patroni are tried first.

        Args:
            query: a SELECT; quick where an index of its table has the key's order.
            params: its parameters.
            key: the column of its result that orders the rows, or several; never NULL.
            options: ``StreamOptions``: the promise, one snapshot, the size of the batches.

        Raises:
            ValueError: the options make no sense. What ``ReadStream`` raises comes from its loop.
        """
        plan = plan_of(query, params, key, options, deadline_s=self.settings.deadline_s)
        return opened(plan, Rows(), self._read)

    def read_arrow_stream(
        self,
        query: Query,
        params: Params | None = None,
        *,
        key: str | Sequence[str],
        **options: Unpack[StreamOptions],
    ) -> AbstractAsyncContextManager[ReadStream[pyarrow.RecordBatch]]:
        """As ``read_stream``, as record batches of Arrow; needs the extra ``bascule[arrow]``.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        plan = plan_of(query, params, key, options, deadline_s=self.settings.deadline_s)
        return opened(plan, RecordBatches(), self._read)

    async def _read(
        self, fn: Callable[[Transaction], Awaitable[T]], demand: Demand, deadline_s: float
    ) -> Read[T]:
        """A read, and its event."""
        begun_s = self._clock()
        try:
            read = await self._reader.read(fn, demand, deadline_s)
        except Exception as error:
            self._observers.tell(
                ReadEnded(
                    node=error.node if isinstance(error, StorageError) else None,
                    source=None,
                    error=type(error).__name__,
                    elapsed_s=self._clock() - begun_s,
                )
            )
            raise
        if self._observers.are_watching:
            self._observers.tell(
                ReadEnded(
                    node=read.node,
                    source=read.source,
                    error=None,
                    elapsed_s=self._clock() - begun_s,
                )
            )
        return read

    async def outcome(
        self, unit_id: str, *, deadline_s: float | None = None, durability: Durability | None = None
    ) -> Outcome:
        """What became of a unit of work, for good: the answer is a fence as well.

        If it was not applied, no attempt that is still on its way can commit any more; a call that
        is running it at this moment finds that out and begins another attempt. If it was, its
        ``attempt_key`` says by which call: that of ``Unknown`` or ``Applied``, or another.

        Args:
            unit_id: of a unit that is not older than the retention of id rows; of an older one
                nothing is known, and it would be called not applied.
            deadline_s: for everything together; the settings' if None.
            durability: that of the unit; the settings' if None.

        Raises:
            Unknown: no server could be asked in time.
        """
        return await ask_outcome(
            self.session,
            unit_id,
            plan(durability or self.settings.durability),
            deadline_s=self.settings.deadline_s if deadline_s is None else deadline_s,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session to the primary, for code with its own proof of what was done (a migration).

        Waits without limit until there is a primary: the caller sets the deadline. Nothing is
        retried, nothing resolved; a session that was lost starts a new search for the primary.

        Raises:
            ReadOnly: the primary takes no writes. What was done in the session before is undone,
                except what was committed.
            psycopg.Error: whatever was done in it may or may not have taken effect.
        """
        with read_only.told():
            session = await self._router.borrow()
        try:
            with self._talks.with_node(session.node):
                if session.is_read_only:
                    with read_only.told():
                        await self._router.require_writable(session)
                yield session
        except psycopg.Error as error:
            failure = failure_of(error, session)
            self._router.note_failure(session, failure)
            if failure.is_read_only:
                await session.rollback()
                with read_only.told():
                    await self._router.require_writable(session)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await session.rollback()
            self._router.give_back(session)

    def connection(
        self, *, deadline_s: float | None = None
    ) -> AbstractAsyncContextManager[psycopg.AsyncConnection[TupleRow]]:
        """A psycopg connection to the primary, as ``psycopg_pool`` lends it.

        What was begun is committed at the end of the block, and rolled back if it raises. Nothing
        is retried. It is one of the storage's sessions, and is made clean afterwards.

        Args:
            deadline_s: for getting it, not for what is done with it; the settings' if None.

        Raises:
            NoPrimary: there was none in time; ``PoolExhausted``, ``NotAdmitted``, ``ReadOnly``: as
                for ``run``.
            CommitInDoubt: it is unknown whether the transaction was committed. It is not a
                ``psycopg.Error``, so that code that tries again after those does not commit twice.
            psycopg.Error: as always. When another member becomes the primary, the connection is
                cut at once, whatever it is doing.
        """
        return self.lender.lend(self.settings.deadline_s if deadline_s is None else deadline_s)

    def _leader_changed(self, holder: str | None) -> None:
        """The leader key has another holder, which may be a member that is not known yet."""
        self._watch.hurry(holder)
        if holder is not None and holder not in self._watch.members:
            self._membership.wake()

    def _member_changed(self, change: MemberChanged) -> None:
        if change.change != "added":
            self._router.replicas.drop(change.node)
        self._observers.tell(change)

    def _require_sites(self) -> None:
        """Check that every member at the opening has a site, for durability ``all_sites``.

        One that came later without a site confirms for none: it makes no unit of work fail.

        Raises:
            ValueError: the site of a member is not known that was there at the opening.
        """
        without_site = [
            member.name
            for member in self.members
            if member.site is None and member.name in self._opened_with
        ]
        if without_site:
            raise ValueError(
                f"durability all_sites: the site of {', '.join(without_site)} is not known"
            )
