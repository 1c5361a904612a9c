"""The watch, with members that are made up: whom it believes, and what it tells."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from replication.lasting import lasting
from replication.patroni.answers import RestAnswer
from replication.patroni.members import Member
from replication.primary.pacing import SEARCH_INTERVAL_S
from replication.primary.watch import Watch
from replication.reads.staleness import Sample

pytestmark = pytest.mark.anyio

YES = RestAnswer(status=200, timeline=1, lsn_bytes=100)
NO = RestAnswer(status=503, timeline=1)
SILENT = RestAnswer()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def member(name: str, *, port: int = 1) -> Member:
    return Member(name=name, rest_url="http://127.0.0.1:1", host="127.0.0.1", port=port)


class Cluster:
    """Answers of three members, to be changed; one that is held up answers only when let go."""

    def __init__(self, interval_s: float = 0.05, /, **answers: RestAnswer) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()
        self.held: dict[str, anyio.Event] = {}
        self.told: list[tuple[str, str]] = []
        self.watch = Watch(list(map(member, answers)), self.ask, interval_s=interval_s)
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
    names = [name for name in cluster.answers if name not in cluster.held]
    await all_asked_again_of(cluster, *names)


async def all_asked_again_of(cluster: Cluster, *names: str) -> None:
    before = cluster.asked.copy()
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


async def test_doubts_of_a_primary_that_answers_are_heard_ever_less_often() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await all_asked_again(cluster)
        heard = 0
        for _ in range(200):
            if cluster.watch.doubt("a"):
                heard += 1
                await all_asked_again(cluster)
        assert heard < 20
        assert cluster.primary == "a"


async def test_who_has_the_lock_and_replays_still_does_not_say_where_the_wal_ends() -> None:
    """A replica that has replayed as much would pass for one that lacks nothing. Seen in the drill
    host-loss-with-readers: reads "5 s old at most" lacked what was 21 s old."""
    cluster = Cluster(a=replace(YES, in_recovery=True), b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await all_asked_again(cluster)
        assert await cluster.watch.sample() is None
        assert not cluster.watch.samples
        cluster.answers["a"] = YES
        assert (sample := await cluster.watch.sample()) is not None
        assert sample.lsn_bytes == 100


async def test_who_claims_an_obsolete_timeline_does_not_say_where_the_wal_ends() -> None:
    """A replica of the new timeline would pass for one that lacks nothing, whatever it lacks."""
    cluster = Cluster(a=YES, b=replace(YES, timeline=2))
    async with watching(cluster):
        await until(lambda: cluster.primary == "b")
        cluster.watch.samples.clear()
        await all_asked_again(cluster)
        assert {sample.node for sample in cluster.watch.samples} == {"b"}


async def test_a_reason_that_was_answered_counts_again_once_its_patroni_is_silent() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await all_asked_again(cluster)
        assert not cluster.watch.doubt("a", again=True)
        cluster.answers["a"] = SILENT
        await all_asked_again(cluster)
        assert cluster.watch.doubt("a", again=True)
        assert cluster.primary == "a"


async def test_a_doubt_that_is_answered_at_once_asks_nobody_twice() -> None:
    cluster = Cluster(60.0, a=YES, b=NO, c=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await until(lambda: cluster.asked.total() == 3)
        cluster.watch.doubt("a")
        await until(lambda: cluster.asked.total() == 6)
        await anyio.sleep(3 * SEARCH_INTERVAL_S)  # longer than the pause of one in doubt
        assert cluster.asked == {"a": 2, "b": 2, "c": 2}


async def test_a_claim_of_a_patroni_whose_server_is_down_leaves_the_doubt() -> None:
    """As in a switchover. Seen in the drill: the new primary was found up to 0.8 s late, because
    such answers made the next doubts wait."""
    cluster = Cluster(60.0, a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await until(lambda: cluster.asked.total() == 2)
        cluster.answers["a"] = replace(YES, timeline=None, lsn_bytes=None)
        cluster.watch.doubt("a")
        await until(lambda: cluster.asked["a"] >= 4)  # without another doubt, and not in 60 s
        assert cluster.primary == "a"
        cluster.answers |= {"a": NO, "b": replace(YES, timeline=2)}
        await until(lambda: cluster.primary == "b")


async def test_a_member_that_comes_later_is_asked_and_may_be_the_primary() -> None:
    cluster = Cluster(a=NO, b=NO)
    cluster.answers["c"] = YES
    async with watching(cluster):
        await all_asked_again_of(cluster, "a", "b")
        cluster.watch.put(member("c"))
        assert (await cluster.watch.wait_primary()).name == "c"


async def test_a_member_that_is_dropped_is_asked_no_more() -> None:
    cluster = Cluster(a=YES, b=NO, c=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        await all_asked_again(cluster)
        cluster.watch.drop("b")
        asked = cluster.asked["b"]
        await all_asked_again_of(cluster, "a", "c")
        assert (cluster.asked["b"], set(cluster.watch.members)) == (asked, {"a", "c"})
        assert "b" not in cluster.watch.view
        cluster.watch.drop("a")
        assert cluster.primary == "a"  # somebody may be writing to it


async def test_a_primary_that_moved_is_lost_where_it_was_and_found_where_it_is() -> None:
    cluster = Cluster(a=YES, b=NO)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        moved = member("a", port=2)
        cluster.watch.put(moved)
        assert await cluster.watch.wait_primary() is moved
        assert cluster.told == [("found", "a"), ("lost", "a"), ("found", "a")]


async def test_an_answer_of_another_cluster_at_a_members_address_means_nothing() -> None:
    cluster = Cluster(a=replace(YES, scope="ours"), b=replace(NO, scope="ours"))
    async with watching(cluster):
        await cluster.watch.wait_primary()
        cluster.watch.accept("a", 1)
        cluster.answers["b"] = replace(YES, timeline=9, scope="theirs")
        await all_asked_again(cluster)
        assert (cluster.primary, cluster.watch.is_answering("b")) == ("a", False)
        assert cluster.told == [("found", "a")]


async def test_those_who_ask_for_a_sample_at_the_same_time_share_one_question() -> None:
    cluster = Cluster(60.0, a=YES)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        asked = cluster.asked["a"]
        cluster.held["a"] = anyio.Event()
        samples: list[Sample | None] = []

        async def ask() -> None:
            samples.append(await cluster.watch.sample())

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)
            await until(lambda: cluster.asked["a"] > asked)
            cluster.held.pop("a").set()
        assert cluster.asked["a"] == asked + 1
        assert [sample is not None and sample.lsn_bytes for sample in samples] == [100] * 100


async def test_whoever_shares_a_question_gets_an_answer_though_its_asker_gives_up() -> None:
    cluster = Cluster(60.0, a=YES)
    async with watching(cluster):
        await cluster.watch.wait_primary()
        asked = cluster.asked["a"]
        held = cluster.held["a"] = anyio.Event()
        samples: list[Sample | None] = []

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                samples.append(await cluster.watch.sample())

        gives_up, stays = anyio.CancelScope(), anyio.CancelScope()
        before = cluster.watch.samples[-1]
        async with anyio.create_task_group() as group:
            group.start_soon(ask, gives_up)
            await until(lambda: cluster.asked["a"] == asked + 1)
            group.start_soon(ask, stays)
            await anyio.wait_all_tasks_blocked()
            gives_up.cancel()
            await until(lambda: cluster.asked["a"] == asked + 2)
            held.set()
        assert len(samples) == 1
        assert samples[0] is not None
        assert samples[0].asked_s > before.asked_s


async def test_a_question_that_nobody_of_ours_cancelled_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster(a=NO, b=NO)

    async def ask(member: Member) -> RestAnswer:
        if member.name == "a" and cluster.asked["a"] == 3:
            cluster.asked["a"] += 1
            raise asyncio.CancelledError
        return await cluster.ask(member)

    cluster.watch.ask = ask
    async with anyio.create_task_group() as group:
        group.start_soon(lasting, cluster.watch.run, "questions")
        await until(lambda: cluster.asked["a"] > 4)
        cluster.answers["b"] = YES
        await until(lambda: cluster.primary == "b")
        cluster.watch.put(member("c", port=2))
        cluster.answers["c"] = NO
        await until(lambda: cluster.asked["c"] > 1)
        group.cancel_scope.cancel()
    assert [record.message for record in caplog.records] == [
        "questions ended though nobody ended them: they begin again"
    ]
