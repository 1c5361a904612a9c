"""The cluster, as an application sees it: units of work and reads, whoever is the primary.

``Storage`` owns the parts and their tasks, and does nothing itself: ``runner`` takes units of work
to their end, ``reader`` serves reads, ``watch`` knows who is the primary, ``gate`` refuses when
nothing works.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import anyio
import psycopg
from psycopg.rows import TupleRow

from replication.connections import Lender
from replication.credentials import Credentials
from replication.dcs import LeaderWatch
from replication.decorated import UnitOfWork
from replication.durability import Durability, Isolation, plan
from replication.errors import StorageError
from replication.gate import Gate
from replication.inquiry import ask_outcome
from replication.members import Ask, Member, RestClient
from replication.observe import Observer, Observers, ReadEnded
from replication.outcomes import Action, Phase, decide
from replication.reader import Demand, Read, Reader
from replication.routing import Router
from replication.runner import UnitRunner
from replication.settings import Dcs, StorageSettings
from replication.talks import Talks
from replication.tokens import Token
from replication.units import Applied, Outcome, Transaction, Unit
from replication.watch import Watch
from replication.wire import Session, failure_of

T = TypeVar("T")
P = ParamSpec("P")


class Storage:
    """A Patroni cluster. An async context manager; see ``run`` and ``read``.

    Enter and leave it in the same task: it owns a task group.

    Args:
        members: every PostgreSQL of the cluster.
        credentials: who connects to what.
        settings: everything that has a default.
        observers: told of what happens (``observe``), beside the log.
        dcs: where etcd has the leader key; without it a failover is noticed a little later.
        rest: asks the members' Patroni; one without client certificate if None.
        ask: how a member is asked for its role; ``rest`` if None.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or StorageSettings()
        self.members = tuple(members)
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
            clock=clock,
        )
        self._runner = UnitRunner(self._router, self._talks, self._observers, clock)
        self._reader = Reader(
            self._router, self._rest.history, prefer_site=self.settings.prefer_site, clock=clock
        )
        self._gate = Gate(
            after=self.settings.circuit_after,
            open_s=self.settings.circuit_open_s,
            observers=self._observers,
            clock=clock,
        )
        self._watch.listen(self._gate)
        self.lender = Lender(self._router, clock)
        """For what keeps connections of its own (``engines``)."""
        self._owned = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._owned.enter_async_context(anyio.create_task_group())
        self._owned.push_async_callback(self._rest.aclose)
        self._owned.callback(self._router.close)
        self._owned.callback(group.cancel_scope.cancel)
        group.start_soon(self._watch.run)
        if self._dcs is not None:
            group.start_soon(LeaderWatch(self._dcs).follow, self._watch.hurry)
        group.start_soon(self._talks.watch_overdue, self._watch.doubt)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The task group must see a cancellation, but an ordinary error of the caller's block would
        # come out of it wrapped in an ExceptionGroup, for no reason that the caller could know.
        if isinstance(exc, Exception):
            await self._owned.aclose()
        else:
            await self._owned.__aexit__(exc_type, exc, traceback)

    @property
    def primary(self) -> str | None:
        """The member believed to be the primary, None while it is being looked for."""
        return self._router.primary

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of everything from now on."""
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
            fn: may be called several times, always in a fresh transaction; what it does outside
                of the transaction (a mail) is its own affair, see ``repeatable``.
            unit_id: the idempotency key, unique among all units of work of the database; drawn
                if None, and then nobody but the caller of this call can ask about it.
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
            AlreadyApplied: an earlier call with this ``unit_id`` took effect.
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
        argument; who calls it does not pass that. ``await fn.run("order-17", ...)`` gives the unit
        an id and returns ``Applied``; ``await fn(...)`` draws one and returns only the value.
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
            max_staleness_s: everything that was committed longer ago than that is seen.
            after: what the token stands for is seen (``Applied.token``), on whatever timeline.
            isolation: the server's default if None.
            deadline_s: for everything together; the settings' if None.

        Returns:
            What ``fn`` returned, who served it, and how old it may be.

        Raises:
            ReadFailed: nobody could serve it in time, or the statement was wrong.
            TokenLost: the token's write was taken away by a failover.
            NotAdmitted: the server does not let us in.
            Exception: what ``fn`` itself raised.
        """
        begun_s = self._clock()
        demand = Demand(max_staleness_s=max_staleness_s, after=after, isolation=isolation)
        try:
            read = await self._reader.read(
                fn, demand, self.settings.deadline_s if deadline_s is None else deadline_s
            )
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

        If it was not applied, no attempt that is still on its way can commit any more; who is
        running it at this moment finds that out and begins another attempt.

        Args:
            unit_id: of a unit that is not older than the retention of id rows; of an older one
                nothing is known, and it would be called not applied.
            deadline_s: for everything together; the settings' if None.
            durability: that of the unit; the settings' if None.

        Raises:
            Unknown: nobody could be asked in time.
        """
        return await ask_outcome(
            self.session,
            unit_id,
            plan(durability or self.settings.durability),
            deadline_s=self.settings.deadline_s if deadline_s is None else deadline_s,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session to the primary, for what brings its own proof of what was done (a migration).

        Waits without limit until there is a primary: the caller sets the deadline. Nothing is
        retried, nothing resolved; a session that was lost makes the primary be looked for again.

        Raises:
            psycopg.Error: whatever was done in it may or may not have taken effect.
        """
        session = await self._router.borrow()
        try:
            with self._talks.with_node(session.node):
                yield session
        except psycopg.Error as error:
            failure = failure_of(error)
            if failure.kind == "lost" or decide(failure, Phase.BODY) is Action.REROUTE:
                self._router.lost(session, failure.message)
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
            NoPrimary: there was none in time; ``PoolExhausted``, ``NotAdmitted``: as for ``run``.
            CommitInDoubt: nobody knows whether the transaction was committed.
            psycopg.Error: as always. When another member becomes the primary, the connection is
                cut at once, whatever it is doing.
        """
        return self.lender.lend(self.settings.deadline_s if deadline_s is None else deadline_s)

    def _require_sites(self) -> None:
        """Durability ``all_sites`` means something here.

        Raises:
            ValueError: a member's site is not known.
        """
        homeless = [member.name for member in self.members if member.site is None]
        if homeless:
            raise ValueError(
                f"durability all_sites: the site of {', '.join(homeless)} is not known"
            )
