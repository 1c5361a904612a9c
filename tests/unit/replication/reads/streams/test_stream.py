"""A stream over members that are made up and fail: nothing twice, nothing missing, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeVar, cast

import anyio
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replication.errors import Facts, KeyMissing, ReadFailed, SnapshotLost, StreamChanged
from replication.reads.promises import Demand
from replication.reads.reader import Read
from replication.reads.streams.forms import FetchedPage, PageAsked
from replication.reads.streams.options import StreamOptions, plan_of
from replication.reads.streams.ranges import Ranges
from replication.reads.streams.stream import ReadStream, opened
from replication.units.unit import Result, Transaction
from replication.wire import Column, Params

pytestmark = pytest.mark.anyio

T = TypeVar("T")
CONFLICT = psycopg.errors.SerializationFailure
INT8, TEXT = 20, 25


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(kw_only=True)
class Member:
    """One that a transaction runs on."""

    node: str
    order: str = "C"
    missing: bool = False

    async def execute(self, query: object, params: object = None) -> Result:
        """Whether there are rows without a key."""
        return Result(rows=[(self.missing,)], rowcount=1)


@dataclass(kw_only=True)
class Cluster:
    """Members that serve in turn; ``fails`` says at which fetches, counted from 0, one is lost."""

    keys: list[int]
    fails: set[int] = field(default_factory=set)
    members: tuple[Member, ...] = (Member(node="a"), Member(node="b"))
    type_oid: int = INT8
    modifier_from: int = 10**9
    """The column is another one from this fetch on."""
    cannot_be: Exception | None = None
    """Why rows cannot be converted."""
    fetches: int = 0
    settings: LiteralString = ""
    demands: list[Demand] = field(default_factory=list)
    ahead: int = 0
    ahead_max: int = 0

    async def fetch(
        self, transaction: Transaction, ranges: Ranges, params: Params | None, page: PageAsked
    ) -> FetchedPage[list[int]]:
        number, self.fetches = self.fetches, self.fetches + 1
        await anyio.lowlevel.checkpoint()
        if number in self.fails:
            raise CONFLICT("canceling statement due to conflict with recovery")
        behind = [key for key in self.keys if page.after is None or key > int(page.after[0])]
        taken = behind[: page.limit]
        taken += [key for key in behind[page.limit :] if key == taken[-1]]
        self.ahead += 1
        self.ahead_max = max(self.ahead_max, self.ahead)

        async def make() -> list[int]:
            await anyio.lowlevel.checkpoint()
            if self.cannot_be is not None:
                raise self.cannot_be
            return taken

        modifier = 1 if number >= self.modifier_from else -1
        return FetchedPage(
            columns=(Column(name="id", type_oid=self.type_oid, modifier=modifier),),
            rows=len(taken),
            size_bytes=8 * len(taken),
            last=(str(taken[-1]),) if taken else (),
            make=make,
            settled=page.settle and cast(Member, transaction).order,
        )

    async def serve(
        self, fn: Callable[[Transaction], Awaitable[T]], demand: Demand, deadline_s: float
    ) -> Read[T]:
        """As ``Reader.read``: the next member when one is lost."""
        self.demands.append(demand)
        for attempt in range(100):
            member = self.members[attempt % len(self.members)]
            try:
                value = await fn(cast(Transaction, member))
            except psycopg.Error:
                continue
            return Read(value=value, node=member.node, source="replica", staleness_s=0.0)
        facts = Facts(unit_id=None, node=None, sqlstate=None, elapsed_s=0, attempts=100)
        raise ReadFailed("nobody serves", **facts)

    def stream(self, **options: Any) -> Any:  # noqa: ANN401 (as StreamOptions)
        asked = cast(StreamOptions, {"batch_rows": 3, **options})
        return opened(plan_of("SELECT", None, "id", asked, deadline_s=30), self, self.serve)

    async def read(
        self, found: list[int] | None = None, **options: object
    ) -> tuple[list[int], ReadStream[list[int]]]:
        """All rows, into ``found`` too, and the stream that they came from."""
        found = [] if found is None else found
        with anyio.fail_after(30):
            async with self.stream(**options) as stream:
                async for batch in stream:
                    self.ahead -= 1
                    found += batch
        return found, stream


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    keys=st.lists(st.integers(0, 30), max_size=40).map(sorted),
    fails=st.sets(st.integers(0, 60)),
    batch_rows=st.integers(1, 9),
)
def test_whatever_fails_every_row_comes_once_and_in_order(
    keys: list[int], fails: set[int], batch_rows: int
) -> None:
    async def run() -> None:
        found, stream = await Cluster(keys=keys, fails=fails).read(batch_rows=batch_rows)
        assert found == keys
        assert stream.rows == len(keys)
        assert stream.last_key == ((str(keys[-1]),) if keys else None)

    anyio.run(run)


async def test_the_member_that_served_is_asked_first_and_readers_before_others() -> None:
    cluster = Cluster(keys=list(range(9)), fails={1})
    _, stream = await cluster.read()
    assert [demand.last for demand in cluster.demands] == [None, "a", "b", "a"]
    assert all(demand.prefer_readers for demand in cluster.demands)
    assert stream.moves == 2


async def test_a_consumer_that_waits_is_not_run_away_from() -> None:
    cluster = Cluster(keys=list(range(300)))
    async with cluster.stream() as stream:
        async for _ in stream:
            await anyio.wait_all_tasks_blocked()
            cluster.ahead -= 1
    assert cluster.ahead_max <= 3  # one being handed out, one made, one fetched


async def test_it_goes_on_behind_a_key() -> None:
    assert (await Cluster(keys=list(range(10))).read(start_after="6"))[0] == [7, 8, 9]


async def test_a_block_that_is_left_early_leaves_nothing_behind() -> None:
    async def leave() -> None:
        async with Cluster(keys=list(range(100))).stream() as stream:
            await anext(stream)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
    async with Cluster(keys=list(range(100))).stream() as stream:
        assert await anext(stream) == [0, 1, 2]


async def test_one_snapshot_is_one_read_with_one_isolation() -> None:
    cluster = Cluster(keys=list(range(20)))
    assert (await cluster.read(snapshot=True))[0] == list(range(20))
    assert [demand.isolation for demand in cluster.demands] == ["repeatable read"]


async def test_a_snapshot_that_is_lost_before_anything_was_read_is_taken_again() -> None:
    assert (await Cluster(keys=list(range(9)), fails={0}).read(snapshot=True))[0] == list(range(9))


async def test_a_snapshot_that_is_lost_later_ends_the_stream() -> None:
    cluster = Cluster(keys=list(range(20)), fails={3})
    found: list[int] = []
    with pytest.raises(SnapshotLost, match="conflict with recovery") as caught:
        await cluster.read(found, snapshot=True)
    assert found == list(range(9))  # what came before is handed out
    lost = caught.value
    assert (lost.rows, lost.last_key, lost.sqlstate) == (9, ("8",), "40001")
    rest, _ = await Cluster(keys=list(range(20))).read(start_after=lost.last_key)
    assert found + rest == list(range(20))


async def test_rows_without_a_key_are_not_passed_over() -> None:
    cluster = Cluster(keys=list(range(4)), members=(Member(node="a", missing=True),))
    with pytest.raises(KeyMissing, match="id is NULL"):
        await cluster.read()


async def test_a_member_that_sorts_text_in_another_order_does_not_go_on() -> None:
    members = (Member(node="a", order="2.36"), Member(node="b", order="2.41"))
    numbers = Cluster(keys=list(range(9)), fails={1}, members=members)
    assert (await numbers.read())[0] == list(range(9))
    text = Cluster(keys=list(range(9)), fails={1}, members=members, type_oid=TEXT)
    with pytest.raises(StreamChanged, match=r"sorted by 2\.41 there, by 2\.36"):
        await text.read()


async def test_columns_that_change_on_the_way_end_the_stream() -> None:
    with pytest.raises(StreamChanged, match="columns"):
        await Cluster(keys=list(range(9)), modifier_from=1).read()


@pytest.mark.parametrize("why", [ValueError("infinity"), psycopg.DataError("infinity")])
async def test_a_value_that_cannot_be_converted_ends_the_stream(why: Exception) -> None:
    with pytest.raises(ReadFailed, match="the stream failed: infinity") as caught:
        await Cluster(keys=list(range(99)), cannot_be=why).read()
    assert caught.value.__cause__ is why


async def test_when_nobody_serves_that_comes_after_what_was_read() -> None:
    found: list[int] = []
    with pytest.raises(ReadFailed, match="nobody serves"):
        await Cluster(keys=list(range(9)), fails=set(range(2, 200))).read(found)
    assert found == list(range(6))


@pytest.mark.parametrize(
    ("key", "options", "words"),
    [
        ((), {}, "key: expected"),
        (("a", "b"), {"start_after": "1"}, "a value for each of a, b"),
        ("a", {"batch_rows": 0}, "expected 1 or more"),
        ("a", {"batch_bytes": 0}, "expected 1 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    key: tuple[str, ...], options: StreamOptions, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        plan_of("SELECT 1", None, key, options, deadline_s=1)


def test_by_default_a_stream_may_be_a_minute_old_and_on_request_it_may_not() -> None:
    def demand(options: StreamOptions) -> Demand:
        return plan_of("SELECT 1", None, "a", options, deadline_s=1).demand

    assert demand({}).max_staleness_s == 60
    assert demand({"max_staleness_s": None}).primary_only
