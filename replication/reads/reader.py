"""Runs a read on a member that may serve it, and says what may be promised of the answer.

The members are tried in the order of ``staleness.order_members``; each is asked for its position,
or for the id row of a token (``promises``), before the caller's function runs on it. A member that
does not keep the promise is passed over; when none does, all are tried again until the deadline.
One that is silent for a moment is overtaken by the next (``first_answer``), and left out of reads
until it has answered again (``reachable``). The function itself runs on one member at a time.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, NamedTuple, TypeVar

import anyio
import psycopg

from replication.errors import ReadFailed, StorageError
from replication.failures import Action, AttemptPhase, Failure, decide, is_lost
from replication.primary.router import Router, not_admitted
from replication.primary.waits import Talk, Talks, why_superseded
from replication.reads.confirming import Confirmer
from replication.reads.first_answer import Pulse, Race
from replication.reads.promises import CHECK_DEADLINE_S, Demand, History, Promises, Search, Unfit
from replication.reads.reachable import Reachable
from replication.reads.staleness import order_members
from replication.units.durability import Isolation
from replication.units.unit import Transaction
from replication.wire import (
    CommitWarning,
    Query,
    Refused,
    Session,
    failure_of,
    final_refusal,
)

T = TypeVar("T")

PAUSE_S = 0.1
"""When no member could serve, before all are tried again; with jitter."""

_BEGIN: dict[Isolation | None, Query] = {
    None: "BEGIN READ ONLY",
    "read committed": "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "repeatable read": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
}


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


class _Offer(NamedTuple):
    """A session to a member that keeps the promise: it is read from, or given back."""

    session: Session
    is_primary: bool
    staleness_s: float | None


class _Failed(Exception):
    """This member, or the connection to it, has failed; ``__cause__`` is the error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def _end(session: Session) -> None:
    """End a read's transaction. A server that is being shut down at once says so in a warning
    (57P01...), which may come with the answer to COMMIT: nothing was written that could be in
    doubt, and everything was read."""
    try:
        await session.commit()
    except CommitWarning as warning:
        if not (warning.sqlstate or "").startswith("57P"):
            raise


class Reader:
    """Serves reads.

    Args:
        router: hands out sessions.
        talks: conversations with the primary.
        history: a member's ``GET /history``.
        prefer_site: replicas there come first.
        clock: monotonic seconds, that of the watch.
    """

    def __init__(
        self,
        router: Router,
        talks: Talks,
        history: History,
        *,
        prefer_site: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._talks = talks
        self._replica_talks = Talks(clock)
        self._reachable = Reachable(router.replicas.probe, self._hung)
        self._confirmer = Confirmer(router, talks, clock)
        self._promises = Promises(router.watch, self._confirmer, history, clock)
        self._prefer_site = prefer_site
        self._clock = clock

    async def run(self) -> None:
        """Look after what is asked beside the reads, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._reachable.run)
            group.start_soon(self._confirmer.run)
            group.start_soon(self._replica_talks.watch_overdue, self._reachable.doubt)

    async def read(
        self, fn: Callable[[Transaction], Awaitable[T]], demand: Demand, deadline_s: float
    ) -> Read[T]:
        """See ``Storage.read``."""
        search = Search(begun_s=self._clock(), clock=self._clock)
        end_s = anyio.current_time() + deadline_s
        serve = self._read_primary if demand.primary_only else self._read_nearest
        read = await serve(fn, demand, search, end_s)
        if read is not None:
            return read
        if not search.reasons and self._router.trouble is not None:
            search.reasons["the primary"] = failure_of(self._router.trouble).message
        words = f"the read was not served within {deadline_s:g} s ({search.why})"
        raise ReadFailed(words, **search.facts)

    async def _read_primary(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        demand: Demand,
        search: Search,
        end_s: float,
    ) -> Read[T] | None:
        """The read on the primary; None when the time is up.

        One scope is the deadline and what ends the wait for a primary that was replaced: one more
        would cost a tenth of a small read.
        """
        while True:
            talk: Talk | None = None
            with anyio.CancelScope(deadline=end_s) as scope:
                if search.attempts:
                    await anyio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
                node = (await self._router.watch.wait_primary()).name
                search.attempts += 1
                try:
                    session = await self._borrow_primary()
                    talk = self._talks.within(scope, session.node)
                    try:
                        with talk:
                            value = await self._transaction(session, fn, demand, is_primary=True)
                    finally:
                        self._router.give_back(session)
                except _Failed as failed:
                    self._note_failed(node, failed, search)
                    continue
                return Read(value=value, node=session.node, source="primary", staleness_s=None)
            if talk is None or not talk.is_interrupted:
                return None
            search.failed(talk.node, why_superseded(talk.node))

    async def _read_nearest(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        demand: Demand,
        search: Search,
        end_s: float,
    ) -> Read[T] | None:
        """The read on the first member that keeps the promise; None when the time is up."""
        with anyio.CancelScope(deadline=end_s):
            while True:
                nodes = self._candidates(demand, search)
                while (offer := await self._first_offer(nodes, demand, search)) is not None:
                    try:
                        return await self._serve(offer, fn, demand)
                    except _Failed as failed:
                        self._note_failed(offer.session.node, failed, search)
                    tried = offer.session.node
                    nodes = nodes[nodes.index(tried) + 1 :] if tried in nodes else []
                await anyio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        return None

    def _note_failed(self, node: str, failed: _Failed, search: Search) -> None:
        """Note that ``node`` failed.

        Raises:
            StorageError: it would fail everywhere.
        """
        failure, error = failed.failure, failed.__cause__
        search.failed(node, failure.message, failure.sqlstate)
        refused = None if error is None else final_refusal(error)
        if refused is not None:
            raise not_admitted(refused, "the read failed", search.facts) from error
        if isinstance(error, Refused):
            return  # the others may take us
        if decide(failure, AttemptPhase.BODY) is Action.GIVE_UP:
            raise ReadFailed(f"the read failed: {failure.message}", **search.facts) from error

    def _candidates(self, demand: Demand, search: Search) -> list[str]:
        """The members to try, the best first."""
        watch = self._router.watch
        primary, nodes = self._router.primary, []
        for node, answer in watch.view.items():
            if answer.noloadbalance and node != primary:
                search.failed(node, "it is tagged noloadbalance")
        for node in order_members(
            tuple(watch.members.values()),
            watch.view,
            primary=primary,
            timeline=watch.timeline_min,
            prefer_site=self._prefer_site,
            prefer_readers=demand.prefer_readers,
            last=demand.last,
        ):
            why_not = None if node == primary else self._reachable.why_not(node)
            if why_not is None:
                nodes.append(node)
            else:
                search.failed(node, why_not)
        return nodes

    async def _first_offer(self, nodes: list[str], demand: Demand, search: Search) -> _Offer | None:
        """Of those that keep the promise.

        Raises:
            StorageError: all would fail.
        """
        race = Race(
            ask=partial(self._try, demand, search),
            patience_s=self._reachable.patience_s,
            silent=self._silent,
            release=self._give_back,
            group=self._reachable.group,
            clock=self._clock,
        )
        return await race.run(nodes)

    async def _try(self, demand: Demand, search: Search, node: str, pulse: Pulse) -> _Offer | None:
        """A session to ``node`` if it keeps the promise; else it is noted why it does not.

        Raises:
            StorageError: it would fail everywhere.
        """
        search.attempts += 1
        is_primary, begun_s = node == self._router.primary, self._clock()
        try:
            session = await self._borrow(node, is_primary)
            try:
                with (
                    self._loss_noted(session, is_primary),
                    self._talks_of(is_primary).with_node(session.node),
                ):
                    age_s = await self._promises.check(
                        session, demand, search, pulse, is_primary=is_primary
                    )
            except BaseException:
                self._give_back_to(session, is_primary)
                raise
        except Unfit as unfit:
            search.failed(node, str(unfit))
            if not is_primary and not pulse.is_alive:
                self._reachable.leave_out(node, str(unfit))
            return None
        except _Failed as failed:
            self._note_failed(node, failed, search)
            if not is_primary:
                self._reachable.leave_out(node, search.reasons[node])
            return None
        if not is_primary and pulse.first_s is not None:
            self._reachable.answered(node, pulse.first_s - begun_s)
        return _Offer(session=session, is_primary=is_primary, staleness_s=age_s)

    async def _serve(
        self, offer: _Offer, fn: Callable[[Transaction], Awaitable[T]], demand: Demand
    ) -> Read[T]:
        """The read on one member.

        Raises:
            _Failed: it was lost, or has no answer.
        """
        session, is_primary = offer.session, offer.is_primary
        try:
            with (
                self._loss_noted(session, is_primary),
                self._talks_of(is_primary).with_node(session.node),
            ):
                value = await self._transaction(session, fn, demand, is_primary=is_primary)
        finally:
            self._give_back(offer)
        if not is_primary:
            self._reachable.served(session.node)
        source: Literal["primary", "replica"] = "primary" if is_primary else "replica"
        return Read(value=value, node=session.node, source=source, staleness_s=offer.staleness_s)

    async def _transaction(
        self,
        session: Session,
        fn: Callable[[Transaction], Awaitable[T]],
        demand: Demand,
        *,
        is_primary: bool,
    ) -> T:
        """What ``fn`` returns, in a transaction of its own; it is rolled back if that fails.

        Raises:
            _Failed: the member was lost, or has no answer.
            Exception: what ``fn`` itself raised.
        """
        try:
            session.begin(begin=_BEGIN[demand.isolation])
            value = await fn(Transaction(session))
            await _end(session)
        except StorageError:
            raise
        except psycopg.Error as error:
            failed = self._note_loss(session, error, is_primary=is_primary)
            await session.rollback()
            raise failed from error
        except Exception:
            await session.rollback()
            raise
        return value

    def _talks_of(self, is_primary: bool) -> Talks:
        return self._talks if is_primary else self._replica_talks

    def _give_back(self, offer: _Offer) -> None:
        self._give_back_to(offer.session, offer.is_primary)

    def _give_back_to(self, session: Session, is_primary: bool) -> None:
        if is_primary:
            self._router.give_back(session)
        else:
            self._router.replicas.give_back(session)

    def _silent(self, node: str) -> None:
        """Another member has answered before ``node`` did."""
        if node != self._router.primary:
            self._reachable.leave_out(node, "it was silent, and is being asked")

    def _hung(self, node: str) -> None:
        """``node`` was asked, and did not answer: what waits for it goes elsewhere."""
        self._router.replicas.drop(node)
        self._replica_talks.interrupt(node)

    async def _borrow_primary(self) -> Session:
        """A session to the primary, waiting without limit until there is one.

        Raises:
            _Failed: it takes no connection.
        """
        try:
            return await self._router.borrow(to_write=False)
        except psycopg.Error as error:
            raise _Failed(failure_of(error)) from error

    async def _borrow(self, node: str, is_primary: bool) -> Session:
        """A session to ``node``.

        Raises:
            Unfit: it was the primary and is not any more, and there are others to be tried.
            _Failed: it takes no connection.
        """
        if is_primary:
            with anyio.move_on_after(CHECK_DEADLINE_S):
                return await self._borrow_primary()
            raise Unfit("there is no primary")
        try:
            return await self._router.replicas.borrow(node)
        except psycopg.Error as error:
            raise _Failed(failure_of(error)) from error

    @contextmanager
    def _loss_noted(self, session: Session, is_primary: bool) -> Iterator[None]:
        """Drops the sessions to a server that is lost in the body.

        Raises:
            _Failed: in place of every error of psycopg.
        """
        try:
            yield
        except psycopg.Error as error:
            raise self._note_loss(session, error, is_primary=is_primary) from error

    def _note_loss(self, session: Session, error: psycopg.Error, *, is_primary: bool) -> _Failed:
        """Drops the sessions to the server if ``error`` means that it is lost; what to raise."""
        failure = failure_of(error, session)
        if is_primary:
            self._router.note_failure(session, failure)
        elif is_lost(failure):
            self._router.replicas.drop(session.node)
        return _Failed(failure)
