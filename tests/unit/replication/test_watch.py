"""The watch, with members that are made up: whom it believes, and what it tells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from replication.members import Member, RestAnswer
from replication.watch import Watch

pytestmark = pytest.mark.anyio

YES = RestAnswer(status=200, timeline=1, lsn_bytes=100)
NO = RestAnswer(status=503, timeline=1)
SILENT = RestAnswer()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Cluster:
    """Answers of three members, to be changed; one that is held up answers only when let go."""

    def __init__(self, **answers: RestAnswer) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()
        self.held: dict[str, anyio.Event] = {}
        self.told: list[tuple[str, str]] = []
        members = [
            Member(name=name, rest_url="http://127.0.0.1:1", host="127.0.0.1", port=1)
            for name in answers
        ]
        self.watch = Watch(members, self.ask, interval_s=0.05)
        self.watch.listen(self)

    async def ask(self, member: Member) -> RestAnswer:
        asked_s = time.monotonic()
        self.asked[member.name] += 1
        answer = self.answers[member.name]
        if member.name in self.held:
            await self.held[member.name].wait()
        return replace(answer, asked_s=asked_s)

    def primary_lost(self, node: str, reason: str) -> None:
        self.told.append(("lost", node))

    def primary_found(self, node: str) -> None:
        self.told.append(("found", node))

    @property
    def primary(self) -> str | None:
        return None if self.watch.primary is None else self.watch.primary.name


@asynccontextmanager
async def watching(cluster: Cluster) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(cluster.watch.run)
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.001)


async def all_asked_again(cluster: Cluster) -> None:
    """Everybody who answers at all has answered a question that was sent after this call."""
    before = cluster.asked.copy()
    names = [name for name in cluster.answers if name not in cluster.held]
    await until(lambda: all(cluster.asked[name] >= before[name] + 2 for name in names))


async def test_a_member_that_never_answers_delays_nothing() -> None:
    cluster = Cluster(a=SILENT, b=YES, c=NO)
    cluster.held["a"] = anyio.Event()
    async with watching(cluster):
        assert (await cluster.watch.wait_primary()).name == "b"
        await all_asked_again(cluster)
    assert cluster.asked["a"] == 1
    assert cluster.told == [("found", "b")]


async def test_a_primary_that_says_no_is_lost_at_once_and_once() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.answers["a"] = NO
        await until(lambda: cluster.primary is None)
        await all_asked_again(cluster)
        assert cluster.told == [("found", "a"), ("lost", "a")]


async def test_of_two_claims_the_higher_timeline_wins() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.answers["b"] = replace(YES, timeline=2)
        await until(lambda: cluster.primary == "b")
        await all_asked_again(cluster)
        assert cluster.told == [("found", "a"), ("lost", "a"), ("found", "b")]


async def test_the_old_primary_that_answers_first_is_not_taken_back() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.answers["b"] = replace(YES, timeline=2)
        await until(lambda: cluster.primary == "b")
        cluster.held["b"] = anyio.Event()
        cluster.answers["b"] = SILENT
        await all_asked_again(cluster)
        cluster.held.pop("b").set()  # silent by now; the old one still claims what it was
        await all_asked_again(cluster)
        assert cluster.told == [("found", "a"), ("lost", "a"), ("found", "b")]


async def test_of_two_equal_claims_the_first_stays() -> None:
    cluster = Cluster(a=NO, b=YES)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.answers["a"] = YES
        await all_asked_again(cluster)
        await all_asked_again(cluster)
        assert cluster.told == [("found", "b")]


async def test_a_lower_timeline_than_was_accepted_is_never_believed() -> None:
    cluster = Cluster(a=YES, b=replace(NO, timeline=2))
    cluster.watch.accept("b", 2)
    async with watching(cluster):
        await all_asked_again(cluster)
        assert cluster.primary is None
        cluster.answers["b"] = replace(YES, timeline=2)
        assert (await cluster.watch.wait_primary()).name == "b"


async def test_a_member_of_another_cluster_does_not_lock_out_our_own() -> None:
    cluster = Cluster(a=YES, b=replace(YES, timeline=9))
    async with watching(cluster):
        await until(lambda: cluster.primary == "b")
        cluster.watch.exclude("b")
        cluster.watch.lose("b", "it belongs to another cluster", suspect=True)
        assert (await cluster.watch.wait_primary()).name == "a"
        await all_asked_again(cluster)
        assert cluster.primary == "a"
        cluster.answers["b"] = NO  # made anew, as a replica of ours
        await all_asked_again(cluster)
        cluster.answers["b"] = replace(YES, timeline=2)
        await until(lambda: cluster.primary == "b")


async def test_a_silent_primary_that_is_doubted_gives_way_to_a_claim() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.held["a"] = anyio.Event()
        cluster.watch.doubt("a")
        assert cluster.primary == "a"  # a doubt alone takes nothing away
        cluster.answers["b"] = replace(YES, timeline=2)
        await until(lambda: cluster.primary == "b")


async def test_an_answer_to_an_old_question_has_no_part_in_a_search() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await all_asked_again(cluster)
        held = cluster.held["a"] = anyio.Event()
        before = cluster.asked["a"]
        await until(lambda: cluster.asked["a"] > before)  # it answers "yes", but not yet
        cluster.watch.lose("a", "its connections end")
        cluster.answers["a"] = NO
        del cluster.held["a"]
        held.set()
        await all_asked_again(cluster)
        assert cluster.told == [("found", "a"), ("lost", "a")]


async def test_a_member_that_refused_us_and_was_no_primary_since_is_believed_again() -> None:
    """No other member needs to be heard for that: one may be in a black hole."""
    cluster = Cluster(a=YES, b=SILENT)
    cluster.held["b"] = anyio.Event()
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.answers["a"] = NO
        cluster.watch.lose("a", "it refuses us", suspect=True)
        await all_asked_again(cluster)
        cluster.answers["a"] = replace(YES, timeline=2)
        assert (await cluster.watch.wait_primary()).name == "a"


async def test_many_losses_at_once_are_one_search() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await all_asked_again(cluster)
        cluster.answers["a"] = NO
        before = cluster.asked.copy()
        for _ in range(1000):
            cluster.watch.lose("a", "its connection was lost")
            cluster.watch.doubt("a")
        await all_asked_again(cluster)
        assert cluster.asked.total() - before.total() < 20
        assert cluster.told.count(("lost", "a")) == 1
