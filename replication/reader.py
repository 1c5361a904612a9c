"""Runs a read on a member that may serve it, and says what may be promised of the answer.

The members are tried in the order of ``reads.order_members``; each is asked for its position, or
for the id row of a token, before the caller's function runs on it. What does not keep the promise
is passed over; when nobody does, it is tried again until the deadline.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import anyio
import psycopg

from replication import unit_rows
from replication.durability import Isolation
from replication.errors import Facts, NotAdmitted, ReadFailed, StorageError, TokenLost
from replication.members import Member
from replication.outcomes import Action, Phase, decide
from replication.reads import order_members, staleness_s
from replication.routing import Router
from replication.tokens import Token, survived
from replication.units import Transaction
from replication.wire import Query, Session, failure_of, is_not_admitted

T = TypeVar("T")

CHECK_DEADLINE_S = 1.0
"""For one question to one member about its position: it is answered from memory."""

PATIENCE_S = 0.1
"""How long a replica that is behind is given to catch up before the next member is tried: a replay
that keeps up is behind by milliseconds."""

LOOK_INTERVAL_S = 0.005
PAUSE_S = 0.1
"""When nobody could serve, before all are tried again; with jitter."""

READ_ONLY = "25006"
"""A read that writes: the transaction is read-only because we have begun it so."""

_POSITION = (
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery()"
    " THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn"
)

_BEGIN: dict[Isolation | None, Query] = {
    None: "BEGIN READ ONLY",
    "read committed": "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "repeatable read": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
}

History = Callable[[Member], Awaitable[tuple[tuple[int, int], ...] | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Generic[T]):
    """An answer, who gave it, and how old it may be.

    ``staleness_s``: everything committed longer ago than that is in it; None where no bound was
    asked for. It is what can be proved, and often much more than the truth.
    """

    value: T
    node: str
    source: Literal["primary", "replica"]
    staleness_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a read asks for."""

    max_staleness_s: float | None = None
    after: Token | None = None
    isolation: Isolation | None = None

    @property
    def primary_only(self) -> bool:
        """Nothing was said that a replica could keep."""
        return self.max_staleness_s is None and self.after is None


@dataclass(slots=True, kw_only=True)
class _Search:
    """A read on its way: whom it was tried on, and why that did not do."""

    begun_s: float
    clock: Callable[[], float]
    attempts: int = 0
    node: str | None = None
    sqlstate: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    def failed(self, node: str, why: str, sqlstate: str | None = None) -> None:
        """``node`` did not serve."""
        self.node, self.sqlstate = node, sqlstate
        self.reasons[node] = why

    @property
    def why(self) -> str:
        """What everybody said last."""
        words = [f"{node}: {why}" for node, why in self.reasons.items()]
        return "; ".join(words) or "there is no primary"

    @property
    def facts(self) -> Facts:
        """For an error."""
        return Facts(
            unit_id=None,
            node=self.node,
            sqlstate=self.sqlstate,
            elapsed_s=self.clock() - self.begun_s,
            attempts=self.attempts,
        )


class _Unfit(Exception):
    """This member does not keep the promise now."""


class Reader:
    """Serves reads.

    Args:
        router: hands out sessions.
        history: a member's ``GET /history``.
        prefer_site: replicas there come first.
        clock: monotonic seconds, that of the watch.
    """

    def __init__(
        self,
        router: Router,
        history: History,
        *,
        prefer_site: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._history = history
        self._prefer_site = prefer_site
        self._clock = clock

    async def read(
        self, fn: Callable[[Transaction], Awaitable[T]], demand: Demand, deadline_s: float
    ) -> Read[T]:
        """See ``Storage.read``."""
        search = _Search(begun_s=self._clock(), clock=self._clock)
        with anyio.move_on_after(deadline_s):
            while True:
                for node in await self._candidates(demand):
                    search.attempts += 1
                    try:
                        return await self._serve(node, fn, demand, search)
                    except _Unfit as unfit:
                        search.failed(node, str(unfit))
                    except psycopg.Error as error:
                        self._judge(node, error, search)
                await anyio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        words = f"the read was not served within {deadline_s:g} s ({search.why})"
        raise ReadFailed(words, **search.facts)

    def _judge(self, node: str, error: psycopg.Error, search: _Search) -> None:
        """Note that ``node`` failed.

        Raises:
            StorageError: it would fail everywhere.
        """
        failure = failure_of(error)
        search.failed(node, failure.message, failure.sqlstate)
        if is_not_admitted(failure.sqlstate):
            raise NotAdmitted(f"the read failed: {error}", **search.facts) from error
        if failure.sqlstate == READ_ONLY or decide(failure, Phase.BODY) is Action.GIVE_UP:
            raise ReadFailed(f"the read failed: {error}", **search.facts) from error

    async def _candidates(self, demand: Demand) -> list[str]:
        """Whom to try, the best first."""
        watch = self._router.watch
        if demand.primary_only:
            return [(await watch.wait_primary()).name]
        return order_members(
            tuple(watch.members.values()),
            watch.view,
            primary=self._router.primary,
            timeline=watch.samples[-1].timeline if watch.samples else None,
            prefer_site=self._prefer_site,
        )

    async def _serve(
        self,
        node: str,
        fn: Callable[[Transaction], Awaitable[T]],
        demand: Demand,
        search: _Search,
    ) -> Read[T]:
        """The read on one member.

        Raises:
            _Unfit: it does not keep the promise.
            psycopg.Error: it was lost, or has no answer.
        """
        is_primary = node == self._router.primary
        session = await self._borrow(node, demand, is_primary)
        try:
            with self._loss_noted(session, is_primary):
                age_s = await self._check(session, demand, is_primary, search)
                session.begin(begin=_BEGIN[demand.isolation])
                value = await fn(Transaction(session))
                await session.commit()
        except StorageError:
            raise
        except Exception:
            await session.rollback()
            raise
        finally:
            if is_primary:
                self._router.give_back(session)
            else:
                self._router.give_back_replica(session)
        source: Literal["primary", "replica"] = "primary" if is_primary else "replica"
        return Read(value=value, node=session.node, source=source, staleness_s=age_s)

    async def _borrow(self, node: str, demand: Demand, is_primary: bool) -> Session:
        """A session to ``node``.

        Raises:
            _Unfit: it was the primary and is not any more, and there are others to be tried.
            psycopg.Error: it takes no connection.
        """
        if not is_primary:
            return await self._router.borrow_replica(node)
        if demand.primary_only:
            return await self._router.borrow()
        with anyio.move_on_after(CHECK_DEADLINE_S):
            return await self._router.borrow()
        raise _Unfit("there is no primary")

    @contextmanager
    def _loss_noted(self, session: Session, is_primary: bool) -> Iterator[None]:
        """A session that is lost in here is of no use to others either."""
        try:
            yield
        except psycopg.Error as error:
            failure = failure_of(error)
            is_lost = failure.kind == "lost" or decide(failure, Phase.BODY) is Action.REROUTE
            if is_lost and failure.sqlstate != READ_ONLY:
                if is_primary:
                    self._router.lost(session, failure.message)
                else:
                    self._router.drop_replica(session.node)
            raise

    async def _check(
        self,
        session: Session,
        demand: Demand,
        is_primary: bool,
        search: _Search,
    ) -> float | None:
        """See to it that the member keeps the promise; the staleness bound, if one was asked for.

        Done before the transaction begins: a snapshot that is taken afterwards has at least this.
        """
        age_s = None
        try:
            if demand.max_staleness_s is not None:
                with anyio.fail_after(CHECK_DEADLINE_S + PATIENCE_S):
                    age_s = await self._check_age(session, demand.max_staleness_s, is_primary)
            if demand.after is not None:
                with anyio.fail_after(CHECK_DEADLINE_S + PATIENCE_S):
                    await self._check_token(session, demand.after, is_primary, search)
        except TimeoutError:
            session.abandon()
            raise _Unfit("it does not say how far it is") from None
        return age_s

    async def _check_age(self, session: Session, max_staleness_s: float, is_primary: bool) -> float:
        watch = self._router.watch
        end_s = self._clock() + PATIENCE_S
        age_s = await self._age_s(session, is_primary)
        if age_s is None or age_s > max_staleness_s:
            await watch.sample()  # the last one may be as old as the watch's interval
            while True:
                age_s = await self._age_s(session, is_primary)
                if age_s is not None and age_s <= max_staleness_s:
                    break
                if is_primary or self._clock() > end_s:
                    known = "by an unknown time" if age_s is None else f"by up to {age_s:.3f} s"
                    raise _Unfit(f"it may be behind {known}, {max_staleness_s:g} s are allowed")
                await anyio.sleep(LOOK_INTERVAL_S)
        return age_s

    async def _age_s(self, session: Session, is_primary: bool) -> float | None:
        """The staleness bound of a member just now.

        A primary's is the time since its Patroni last said that it holds the leader lock: until
        then nobody else can have written.
        """
        watch = self._router.watch
        if is_primary:
            answer = watch.view.get(session.node)
            held = answer is not None and answer.is_primary
            return self._clock() - answer.asked_s if answer is not None and held else None
        in_recovery, replayed = (await session.fetch(_POSITION))[0]
        if not in_recovery:
            raise _Unfit("it has been promoted")
        answer = watch.view.get(session.node)
        return staleness_s(
            watch.samples,
            timeline=None if answer is None else answer.timeline,
            replayed_bytes=int(replayed),
            now_s=self._clock(),
        )

    async def _check_token(
        self, session: Session, token: Token, is_primary: bool, search: _Search
    ) -> None:
        """See to it that the token's write is there, by its id row."""
        end_s = self._clock() + PATIENCE_S
        while not (await session.fetch(unit_rows.IS_APPLIED, (token.unit_id, token.attempt)))[0][0]:
            if is_primary:
                await self._judge_missing(session, token, search)
                return
            if self._clock() > end_s:
                raise _Unfit("it does not have the token's write yet")
            await anyio.sleep(LOOK_INTERVAL_S)

    async def _judge_missing(self, session: Session, token: Token, search: _Search) -> None:
        """The primary does not have a token's row: it was pruned, or a failover took it away.

        Raises:
            TokenLost: the latter.
            _Unfit: it cannot be told now.
        """
        if session.timeline == token.timeline:
            return  # what was written on a timeline is there as long as the timeline lasts
        if session.timeline < token.timeline:
            raise _Unfit(f"it is on timeline {session.timeline}, the token on {token.timeline}")
        history = await self._history(self._router.watch.members[session.node])
        if history is None:
            raise _Unfit("its Patroni does not say where the timelines ended")
        if not survived(token, history):
            raise TokenLost(
                f"{token.unit_id} was written on timeline {token.timeline} and is not part of"
                f" timeline {session.timeline}: a failover took it away",
                **search.facts,
            )
