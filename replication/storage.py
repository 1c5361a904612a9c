"""Units of work on a cluster whose primary may change at any moment.

``Storage.run`` applies a function of a transaction exactly once, or says by the type of the error
what is known. No policy lives here: what a failure means is ``outcomes``, what proves that a
commit happened is ``unit_rows``, who is the primary is ``routing``, every wait is in ``wire``.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, Self, TypeVar

import anyio
import psycopg
import tenacity

from replication import unit_rows
from replication.credentials import Credentials
from replication.errors import (
    AlreadyApplied,
    DeadlineExceeded,
    Facts,
    NoPrimary,
    NotApplied,
    Unknown,
)
from replication.members import Ask, Member, RestClient
from replication.outcomes import Action, Phase, decide
from replication.routing import Router
from replication.units import Applied, Attempt, Transaction, Unit
from replication.wire import Session, failure_of, is_id_row_conflict

T = TypeVar("T")

WATCH_AFTER_S = 1.0
"""An attempt that takes longer makes the members be asked whether its server is still the primary.
A small write takes milliseconds; a frozen server (not dead: its kernel still acknowledges packets)
shows itself in no other way."""

WATCH_INTERVAL_S = 0.5
"""How often the watch looks; the members are asked only while an attempt is overdue."""

PAUSE_S_MIN, PAUSE_S_MAX = 0.01, 0.2
"""Between attempts, doubling, with jitter. Short, because a pause delays the first write after a
failover; what a server that is full needs instead is ``BACK_OFF_S``."""

BACK_OFF_S = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Talk:
    """A conversation with a server, which the watch may interrupt."""

    node: str
    scope: anyio.CancelScope
    since_s: float


class _Again(Exception):
    """Another step may help."""

    def __init__(self, action: Action) -> None:
        super().__init__(action.value)
        self.action = action


class _Superseded(psycopg.OperationalError):
    """Another member is the primary now: to wait for this one any longer is in vain."""


class Storage:
    """The cluster, as an application sees it. An async context manager; see ``run``.

    Enter and leave it in the same task: it owns a task group.

    Args:
        members: every PostgreSQL of the cluster.
        credentials: who connects to what.
        ask: how a member is asked for its role; Patroni's REST API if None.
        clock: monotonic seconds; what ``attempt_s`` and ``elapsed_s`` are measured with.
    """

    def __init__(
        self,
        members: Sequence[Member],
        credentials: Credentials,
        *,
        ask: Ask | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = RestClient()
        self._router = Router(members, credentials, ask or self._rest.ask)
        self._clock = clock
        self._stepping = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Again), wait=_pause_of, sleep=anyio.sleep
        )
        self._talks: set[_Talk] = set()
        self._owned = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._owned.enter_async_context(anyio.create_task_group())
        self._owned.push_async_callback(self._rest.aclose)
        self._owned.push_async_callback(self._router.aclose)
        self._owned.callback(group.cancel_scope.cancel)
        group.start_soon(self._watch)
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

    async def run(
        self, fn: Callable[[Transaction], Awaitable[T]], *, unit_id: str, deadline_s: float
    ) -> Applied[T]:
        """Apply ``fn`` in one transaction, exactly once.

        Args:
            fn: may be called several times, always in a fresh transaction; what it does outside
                of the transaction (a mail) is its own affair.
            unit_id: the idempotency key, unique among all units of work of the database.
            deadline_s: for everything together, all attempts and questions included.

        Returns:
            What ``fn`` returned, and where the transaction was written.

        Raises:
            NotApplied: it did not take effect; ``DeadlineExceeded``, ``NoPrimary`` are its kinds.
            Unknown: the commit was in doubt and could not be resolved before the deadline.
            AlreadyApplied: an earlier call with this ``unit_id`` took effect.
            Exception: what ``fn`` itself raised; the transaction was rolled back.
        """
        unit = Unit(id=unit_id, fn=fn, started_s=self._clock())
        with anyio.move_on_after(deadline_s):
            # Nearly all units end with their first step. It is taken without tenacity, whose
            # bookkeeping costs a fifth of the client's share of a small write (cProfile).
            try:
                return await self._step(unit)
            except _Again as again:
                await anyio.sleep(_first_pause_s(again.action))
            return await self._stepping(self._step, unit)
        raise self._missed(unit, deadline_s)

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
            yield session
        except psycopg.Error as error:
            if decide(failure_of(error), Phase.BODY) is Action.REROUTE:
                await self._router.forget(session.node)
            raise
        finally:
            await session.rollback()
            await self._router.give_back(session)

    async def _step(self, unit: Unit[T]) -> Applied[T]:
        """One attempt, or one question about the last one.

        Raises:
            _Again: another step may help.
        """
        try:
            session = await self._router.borrow()
        except psycopg.Error as error:
            # Whatever it was, no transaction was begun: all one can do is to search again.
            unit.failure = failure_of(error)
            raise _Again(Action.REROUTE) from error
        unit.node = session.node
        try:
            if unit.must_ask:
                answer = await self._ask(unit, session)
                if answer is not None:
                    return answer
            return await self._attempt(unit, session)
        finally:
            await self._router.give_back(session)

    async def _attempt(self, unit: Unit[T], session: Session) -> Applied[T]:
        """One transaction, from BEGIN to the answer to its COMMIT."""
        unit.attempts += 1
        begun_s = self._clock()
        try:
            with self._talk(session):
                await session.begin(unit_rows.BEGIN_ROW, (unit.id, unit.row_attempt))
                value = await unit.fn(Transaction(session))
                attempt = Attempt(
                    value=value,
                    node=session.node,
                    evidence=unit_rows.parse_evidence(await session.fetch_header()),
                    begun_s=begun_s,
                )
                unit.doubt = attempt  # until COMMIT is answered
                await session.commit()
        except psycopg.Error as error:
            await self._fail(unit, session, error)
        except Exception:
            await session.rollback()
            raise
        return self._applied(unit, attempt, resolved=False)

    async def _fail(self, unit: Unit[T], session: Session, error: psycopg.Error) -> NoReturn:
        """Decide what becomes of a unit whose attempt failed.

        Raises:
            _Again: it is worth another step.
            NotApplied: it is not, and nothing took effect.
        """
        failure = unit.failure = failure_of(error)
        if unit.phase is Phase.BODY and is_id_row_conflict(error, unit_rows.ROW_TABLE):
            unit.id_taken = True
            await session.rollback()
            raise _Again(Action.IN_DOUBT) from error
        action = decide(failure, unit.phase)
        if action is Action.REROUTE or failure.kind == "lost":
            await self._router.forget(session.node)
        if action is Action.IN_DOUBT:
            raise _Again(action) from error
        unit.doubt = None
        await session.rollback()
        if action is Action.GIVE_UP:
            raise NotApplied(
                f"{unit.id} was not applied: {failure.message}", **self._facts(unit)
            ) from error
        raise _Again(action) from error

    async def _ask(self, unit: Unit[T], session: Session) -> Applied[T] | None:
        """Ask the id row what became of the last attempt, and see to it that the answer stays.

        Returns:
            The result if it took effect; None if it never will, and the next attempt may begin.
        """
        try:
            with self._talk(session):
                rows = await session.fetch(unit_rows.RESOLVE, (unit.id, unit.row_attempt))
        except psycopg.Error as error:
            failure = unit.failure = failure_of(error)
            action = decide(failure, Phase.BODY)
            if action is Action.REROUTE:
                await self._router.forget(session.node)
            if action is Action.GIVE_UP and failure.kind != "warning":
                raise Unknown(
                    f"nobody knows whether {unit.id} was applied: its id row cannot be asked"
                    f" ({failure.message})",
                    **self._facts(unit),
                ) from error
            raise _Again(action) from error
        if unit_rows.parse_state(rows[0]) == "void":
            unit.next_attempt()
            return None
        if unit.doubt is None:
            raise AlreadyApplied(f"{unit.id} was applied by an earlier call", **self._facts(unit))
        return self._applied(unit, unit.doubt, resolved=True)

    @contextmanager
    def _talk(self, session: Session) -> Iterator[None]:
        """Everything that waits for the server of ``session``, so that the watch can end it."""
        with anyio.CancelScope() as scope:
            talk = _Talk(node=session.node, scope=scope, since_s=self._clock())
            self._talks.add(talk)
            try:
                yield
            finally:
                self._talks.discard(talk)
        if scope.cancelled_caught:
            raise _Superseded(f"{session.node} is not the primary any more")

    async def _watch(self) -> None:
        """Interrupt those who wait for a member that is the primary no more."""
        while True:
            await anyio.sleep(WATCH_INTERVAL_S)
            now_s = self._clock()
            overdue = [talk for talk in self._talks if now_s - talk.since_s > WATCH_AFTER_S]
            if not overdue:
                continue
            with anyio.move_on_after(WATCH_AFTER_S):
                nodes = frozenset(talk.node for talk in overdue)
                primary = await self._router.search(suspects=nodes)
                for node in nodes - {primary.name}:
                    await self._router.forget(node)
                for talk in overdue:
                    if talk.node != primary.name:
                        talk.scope.cancel()

    def _applied(self, unit: Unit[T], attempt: Attempt[T], *, resolved: bool) -> Applied[T]:
        return Applied(
            value=attempt.value,
            node=attempt.node,
            timeline=attempt.evidence.timeline,
            lsn=attempt.evidence.lsn,
            attempts=unit.attempts,
            attempt_s=attempt.begun_s,
            elapsed_s=self._clock() - unit.started_s,
            resolved=resolved,
        )

    def _missed(self, unit: Unit[T], deadline_s: float) -> NotApplied | Unknown:
        """The deadline has passed: what can be said."""
        facts = self._facts(unit)
        last = f" ({unit.failure.message})" if unit.failure is not None else ""
        if unit.must_ask:
            return Unknown(
                f"nobody knows whether {unit.id} was applied: its commit was in doubt and could"
                f" not be resolved within {deadline_s} s{last}",
                **facts,
            )
        if unit.attempts == 0:
            return NoPrimary(
                f"{unit.id} was not applied: no primary took a connection within"
                f" {deadline_s} s{last}",
                **facts,
            )
        return DeadlineExceeded(f"{unit.id} was not applied within {deadline_s} s{last}", **facts)

    def _facts(self, unit: Unit[T]) -> Facts:
        return Facts(
            unit_id=unit.id,
            node=unit.node,
            sqlstate=None if unit.failure is None else unit.failure.sqlstate,
            elapsed_s=self._clock() - unit.started_s,
            attempts=unit.attempts,
        )


_growing_pause = tenacity.wait_random_exponential(
    multiplier=2 * PAUSE_S_MIN, min=PAUSE_S_MIN, max=PAUSE_S_MAX
)


def _first_pause_s(action: Action) -> float:
    """How long to wait after the first step, with jitter."""
    return (BACK_OFF_S if action is Action.BACK_OFF else PAUSE_S_MIN) * random.uniform(0.5, 1.5)


def _pause_of(state: tenacity.RetryCallState) -> float:
    """How long tenacity waits before the next step."""
    error = None if state.outcome is None else state.outcome.exception()
    if isinstance(error, _Again) and error.action is Action.BACK_OFF:
        return _first_pause_s(error.action)
    return _growing_pause(state)
