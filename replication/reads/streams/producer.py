"""A large read: fetches page after page, each from a member that can serve it, for one consumer.

Each page is a read of its own (``Reader.read``), with the same promise, its own deadline, and every
way on to another member that reads have: a replica that cancels it for its recovery (40001), ends
the session (57P01), hangs or dies costs the page that was under way, and the next member fetches
that one. The member that served the last page is asked first: so the pages are of one state that
only goes forward, as long as it lives.

With ``snapshot`` all pages are of one transaction (REPEATABLE READ) on one member. Such a snapshot
exists on one server: ``pg_export_snapshot`` lends it to other sessions of that server only. So when
the member is lost, the stream ends with ``SnapshotLost``, unless nothing was handed out yet.

While the consumer works on a batch, one more is being made and one more is being fetched; then the
stream waits for it, and no server is busy (``snapshot``: but it keeps the transaction).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, LiteralString, Protocol, TypeVar

import anyio
import psycopg
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from replication.errors import Facts, KeyMissing, ReadFailed, SnapshotLost, StreamChanged
from replication.reads.promises import Demand
from replication.reads.reader import Read
from replication.reads.streams.forms import BatchForm, FetchedPage, PageAsked, key_fields
from replication.reads.streams.ranges import LastKey, PageLimits, Ranges
from replication.units.unit import Transaction
from replication.wire import Column, Params

B = TypeVar("B")
T = TypeVar("T")

SNAPSHOT_IDLE = "10min"
"""How long a consumer may take for a batch while its transaction is open: long enough to write it
anywhere. A host that has died is noticed by the server's own probes, in seconds."""

_SETTLE: LiteralString = """
SELECT (SELECT coalesce(pg_database_collation_actual_version(oid), datcollate)
        FROM pg_database WHERE datname = current_database()),
    set_config('DateStyle', 'ISO, YMD', true), set_config('IntervalStyle', 'postgres', true),
    set_config('extra_float_digits', '1', true)"""
"""How values are written, whatever the role, the database or the member has as its default: keys go
from one member to the next as text."""

_STAY: LiteralString = (
    f", set_config('idle_in_transaction_session_timeout', '{SNAPSHOT_IDLE}', true)"
)

_TEXT_OIDS = frozenset({25, 1042, 1043, 1009, 1014, 1015, 3802})
"""text, char(n), varchar, arrays of them, and jsonb, which compares its texts by the database's
collation (``src/include/catalog/pg_type.dat``)."""
USER_OID_MIN = 16384
"""Types that were created have these; some of them sort as text (``src/include/access/transam.h``,
``FirstNormalObjectId``)."""


class Serve(Protocol):
    """As ``Reader.read``."""

    def __call__(
        self, fn: Callable[[Transaction], Awaitable[T]], demand: Demand, deadline_s: float
    ) -> Awaitable[Read[T]]:
        """Run ``fn`` on a member that keeps what is demanded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What was asked for; see ``Storage.read_stream``."""

    ranges: Ranges
    params: Params | None
    start_after: LastKey | None
    limits: PageLimits
    demand: Demand
    snapshot: bool
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    """How far the pages that were fetched have come."""

    after: LastKey | None
    limit: int
    rows: int = 0
    columns: tuple[Column, ...] | None = None
    order: str | None = None
    """By what the member that served sorts text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBatch(Generic[B]):
    """What the consumer gets next; ``last_key`` is that of its last row."""

    value: B
    node: str
    rows: int
    last_key: LastKey


class Producer(Generic[B]):
    """Fetches the pages of one stream and makes its batches.

    Args:
        plan: what was asked for.
        form: what a batch is.
        serve: runs a read.
    """

    def __init__(self, plan: StreamPlan, form: BatchForm[B], serve: Serve) -> None:
        self.failed: Exception | None = None
        """Why there is nothing more, if it is not that everything was read."""
        self._plan = plan
        self._form = form
        self._serve = serve
        self._position = _Position(after=plan.start_after, limit=plan.limits.first())
        self._is_over = False
        self._node: str | None = None
        self._lost: psycopg.Error | None = None
        self._fetched: tuple[
            MemoryObjectSendStream[tuple[FetchedPage[B], str]],
            MemoryObjectReceiveStream[tuple[FetchedPage[B], str]],
        ] = anyio.create_memory_object_stream(0)
        self._made: tuple[
            MemoryObjectSendStream[MadeBatch[B]], MemoryObjectReceiveStream[MadeBatch[B]]
        ] = anyio.create_memory_object_stream(0)

    @property
    def batches(self) -> MemoryObjectReceiveStream[MadeBatch[B]]:
        """What was made."""
        return self._made[1]

    async def run(self) -> None:
        """Fetch until the end, or until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._make_batches)
            with self._fetched[0]:
                try:
                    await (self._run_snapshot if self._plan.snapshot else self._run_pages)()
                except Exception as error:  # whatever it is, it belongs to the consumer
                    self.failed = self.failed or error

    def close(self) -> None:
        """There is nothing more to come."""
        for end in (*self._fetched, *self._made):
            end.close()

    async def _run_pages(self) -> None:
        """Every page is a read of its own."""
        demand = self._plan.demand
        while not self._is_over:
            read = await self._serve(self._fetch, demand, self._plan.deadline_s)
            demand = replace(demand, last=read.node)
            await self._hand_on(*read.value, read.node)

    async def _run_snapshot(self) -> None:
        """All pages are one read. Its deadline is that of the page that is being fetched: how long
        the consumer takes is its own business."""
        with anyio.CancelScope() as scope:

            async def pages(transaction: Transaction) -> None:
                if self._position.rows:
                    raise self._snapshot_lost("another member is to go on")
                while not self._is_over:
                    scope.deadline = anyio.current_time() + self._plan.deadline_s
                    try:
                        fetched = await self._fetch(transaction)
                    except psycopg.Error as error:
                        self._lost = error
                        if self._position.rows:
                            raise self._snapshot_lost("it was lost") from error
                        raise
                    scope.deadline = math.inf
                    await self._hand_on(*fetched, transaction.node)
                scope.deadline = anyio.current_time() + self._plan.deadline_s

            scope.deadline = anyio.current_time() + self._plan.deadline_s
            await self._serve(pages, self._plan.demand, math.inf)
        if scope.cancelled_caught and not self._is_over:
            words = f"no page could be read within {self._plan.deadline_s:g} s"
            raise self._snapshot_lost(words) if self._position.rows else self._failure(words)

    async def _fetch(self, transaction: Transaction) -> tuple[FetchedPage[B], _Position]:
        """The page behind the last one, and where the stream is after it.

        Raises:
            psycopg.Error: as with every read.
            StreamChanged: it does not fit to the pages before.
            KeyMissing: there are rows without a key.
        """
        before, ranges, params = self._position, self._plan.ranges, self._plan.params
        settle: LiteralString | None = None
        if not self._plan.snapshot:
            settle = _SETTLE + self._form.settings
        elif not before.rows:  # of all pages, which are one transaction
            settle = _SETTLE + self._form.settings + _STAY
        asked = PageAsked(after=before.after, limit=before.limit, settle=settle)
        page = await self._form.fetch(transaction, ranges, params, asked)
        order = before.order if page.settled is None else page.settled
        if page.rows < before.limit:
            missing = await transaction.execute(ranges.without_key(), params)
            if missing.rows[0][0]:
                raise self._key_missing()
        if not page.rows:
            return page, before
        self._require_same(page, before, order)
        if None in page.last:
            raise self._key_missing()
        limits = self._plan.limits
        return page, _Position(
            after=tuple(str(value) for value in page.last),
            limit=limits.next(before.limit, rows=page.rows, size_bytes=page.size_bytes),
            rows=before.rows + page.rows,
            columns=page.columns,
            order=order,
        )

    def _require_same(self, page: FetchedPage[B], before: _Position, order: str | None) -> None:
        """Check that ``page`` goes on as the pages before it.

        Raises:
            StreamChanged: it does not.
        """
        if before.columns is None:
            return
        if page.columns != before.columns:
            raise StreamChanged("the columns of the query have changed", **self._facts())
        key = [page.columns[at] for at in key_fields(page.columns, self._plan.ranges.key)]
        is_text = any(one.type_oid in _TEXT_OIDS or one.type_oid >= USER_OID_MIN for one in key)
        if is_text and order != before.order:
            words = f"text is sorted by {order} there, by {before.order} where it began"
            raise StreamChanged(words, **self._facts())

    async def _hand_on(self, page: FetchedPage[B], position: _Position, node: str) -> None:
        """Give ``page`` to the task that makes batches; it counts as read from now on."""
        self._is_over = page.rows < self._position.limit
        self._node, self._lost = node, None
        self._position = position
        if page.rows:
            await self._fetched[0].send((page, node))

    async def _make_batches(self) -> None:
        with self._made[0], self._fetched[1]:
            async for page, node in self._fetched[1]:
                try:
                    value = await page.make()
                except Exception as error:  # a value that Python, or Arrow, has no place for
                    self.failed = self._failure(str(error))
                    self.failed.__cause__ = error
                    return
                last_key = tuple(str(part) for part in page.last)
                batch = MadeBatch(value=value, node=node, rows=page.rows, last_key=last_key)
                await self._made[0].send(batch)

    def _snapshot_lost(self, why: str) -> SnapshotLost:
        if self._lost is not None:
            why = str(self._lost).strip()
        position = self._position
        return SnapshotLost(
            f"the snapshot was lost after {position.rows} rows: {why}",
            rows=position.rows,
            last_key=position.after,
            **self._facts(),
        )

    def _failure(self, why: str) -> ReadFailed:
        return ReadFailed(f"the stream failed: {why}", **self._facts())

    def _key_missing(self) -> KeyMissing:
        words = f"there are rows in which {', '.join(self._plan.ranges.key)} is NULL"
        return KeyMissing(words, **self._facts())

    def _facts(self) -> Facts:
        sqlstate = None if self._lost is None else self._lost.sqlstate
        return Facts(unit_id=None, node=self._node, sqlstate=sqlstate, elapsed_s=0.0, attempts=0)
