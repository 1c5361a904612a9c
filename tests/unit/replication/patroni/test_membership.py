"""Who comes, moves and leaves, decided from answers that are made up."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from replication.observability.events import MemberChanged
from replication.patroni.answers import Named, RestAnswer
from replication.patroni.members import Member
from replication.patroni.membership import Membership
from replication.patroni.membership_rules import ABSENT_S, Absences, candidates
from replication.primary.watch import Watch

YES = RestAnswer(status=200, timeline=1, scope="ours")
NO = RestAnswer(status=503, timeline=1, scope="ours")
INTERVAL_S = 0.01


def member(name: str, *, at: int = 1, port: int = 5432, site: str | None = None) -> Member:
    host = f"10.0.0.{at}"
    return Member(name=name, rest_url=f"http://{host}:8008", host=host, port=port, site=site)


A, B, C = member("a", at=1), member("b", at=2), member("c", at=3)


def by_name(*members: Member) -> dict[str, Member]:
    return {one.name: one for one in members}


def among(*names: str) -> Callable[[str], bool]:
    return lambda name: name in names


# ---- who is taken in ----


def test_whoever_is_new_is_a_candidate() -> None:
    found = candidates([A, B, C], by_name(A, B), listed={}, is_answering=among("a", "b"))
    assert found == [C]


def test_one_that_answers_stays_where_it_is() -> None:
    moved = member("b", at=9)
    assert candidates([A, moved], by_name(A, B), listed={}, is_answering=among("a", "b")) == []
    assert candidates([A, moved], by_name(A, B), listed={}, is_answering=among("a")) == [moved]


def test_a_patroni_whose_postgres_is_at_another_port_says_so_itself() -> None:
    moved = replace(B, port=6000)
    members = by_name(A, B)
    assert candidates([moved], members, listed={}, is_answering=among("a", "b")) == [moved]
    # One that was listed by hand may be reached through a pooler, say.
    assert candidates([moved], members, listed=by_name(B), is_answering=among("a", "b")) == []


def test_a_listed_member_keeps_its_site_and_is_looked_for_where_it_was_listed() -> None:
    listed = by_name(replace(B, site="orsay"))
    moved = member("b", at=9)
    found = candidates([moved], listed, listed=listed, is_answering=among())
    assert found == [replace(moved, site="orsay")]
    there = by_name(replace(moved, site="orsay"))
    assert candidates([moved], there, listed=listed, is_answering=among()) == [listed["b"]]


def test_a_member_that_was_listed_under_another_name_is_no_new_one() -> None:
    listed = by_name(replace(B, name="my-own-name"))
    assert candidates([B], listed, listed=listed, is_answering=among()) == []


# ---- who leaves ----


def leavers(
    absences: Absences,
    *members: Member,
    now_s: float,
    keep: Collection[str] = (),
    answering: Collection[str] = (),
) -> list[str]:
    return absences.leavers(
        by_name(*members), keep=keep, is_answering=among(*answering), now_s=now_s
    )


def test_who_was_named_by_nobody_for_a_minute_and_is_silent_leaves() -> None:
    absences = Absences()
    absences.hear("abc", {"a", "b"}, 0)
    assert leavers(absences, A, B, C, now_s=ABSENT_S - 1) == []
    absences.hear("abc", {"a", "b"}, ABSENT_S)
    assert leavers(absences, A, B, C, now_s=ABSENT_S) == ["c"]
    assert leavers(absences, A, B, C, now_s=ABSENT_S, answering="c") == []
    assert leavers(absences, A, B, C, now_s=ABSENT_S, keep="c") == []


def test_who_is_named_once_meanwhile_stays() -> None:
    absences = Absences()
    absences.hear("abc", {"a", "b"}, 0)
    absences.hear("abc", {"a", "b", "c"}, 30)
    absences.hear("abc", {"a", "b"}, 40)
    assert leavers(absences, A, B, C, now_s=ABSENT_S) == []
    assert leavers(absences, A, B, C, now_s=40 + ABSENT_S) == ["c"]


def test_while_nobody_says_who_the_members_are_nobody_leaves() -> None:
    """The DCS was lost for an hour; the first list after it may lack who comes back later."""
    absences = Absences()
    absences.hear("abc", {"a", "b"}, 0)
    absences.miss()
    absences.hear("abc", {"a", "b"}, 3600)
    assert leavers(absences, A, B, C, now_s=3600) == []
    assert leavers(absences, A, B, C, now_s=3600 + ABSENT_S) == ["c"]


def test_the_last_member_of_a_site_stays() -> None:
    """Or durability ``all_sites`` would silently demand less."""
    paris, orsay = [member(f"p{n}", site="paris") for n in (1, 2)], member("o", site="orsay")
    absences = Absences()
    absences.hear(("p1", "p2", "o"), (), 0)
    assert leavers(absences, *paris, orsay, now_s=ABSENT_S) in (["p1"], ["p2"])


# ---- all together ----


class Cluster:
    """Members that answer by where they are asked, and what each Patroni says of the cluster."""

    def __init__(self, *members: Member, listed: Collection[Member] = ()) -> None:
        self.answers: dict[str, RestAnswer] = {}
        self.named: dict[str, Named] = {}
        self.told: list[tuple[str, str]] = []
        self.rounds = 0
        self.watch = Watch(members, self.ask, interval_s=INTERVAL_S)
        self.membership = Membership(
            self.watch,
            self.ask,
            self.ask_cluster,
            self.tell,
            listed=tuple(listed),
            interval_s=INTERVAL_S,
            clock=lambda: time.monotonic() + self.ahead_s,
        )
        self.ahead_s = 0.0

    async def ask(self, member: Member) -> RestAnswer:
        await anyio.lowlevel.checkpoint()
        found = self.answers.get(member.rest_url, RestAnswer())
        return replace(found, asked_s=anyio.current_time())

    async def ask_cluster(self, url: str) -> tuple[Named | None, str]:
        await anyio.lowlevel.checkpoint()
        self.rounds += 1
        return self.named.get(url), "asked"

    def tell(self, event: MemberChanged) -> None:
        self.told.append((event.change, event.node))

    def say(self, *members: Member, by: Member, scope: str = "ours") -> None:
        self.named[by.rest_url] = Named(members=members, scope=scope)

    def set(self, **answers: tuple[Member, RestAnswer]) -> None:
        for name, (one, answer) in answers.items():
            self.answers[one.rest_url] = replace(answer, name=name)


@asynccontextmanager
async def followed(cluster: Cluster) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(cluster.watch.run)
        with anyio.fail_after(30):
            cluster.watch.accept((await cluster.watch.wait_primary()).name, 1)
        group.start_soon(cluster.membership.run)
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.001)


async def some_rounds(cluster: Cluster) -> None:
    before = cluster.rounds
    await until(lambda: cluster.rounds > before + 3)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


async def test_a_member_is_added_once_it_answers_as_itself() -> None:
    cluster = Cluster(A, B)
    cluster.set(a=(A, YES), b=(B, NO))
    async with followed(cluster):
        cluster.say(A, B, C, by=A)
        await some_rounds(cluster)
        assert (set(cluster.watch.members), cluster.told) == ({"a", "b"}, [])  # c is silent
        cluster.answers[C.rest_url] = replace(NO, name="somebody-else")
        await some_rounds(cluster)
        cluster.answers[C.rest_url] = replace(NO, name="c", scope="theirs")
        await some_rounds(cluster)
        assert cluster.told == []
        cluster.set(c=(C, NO))
        await until(lambda: cluster.told == [("added", "c")])
        assert cluster.watch.members["c"] == C


async def test_the_primary_that_came_back_elsewhere_is_found() -> None:
    cluster = Cluster(A, B)
    cluster.set(a=(A, YES), b=(B, NO))
    moved = member("a", at=9)
    async with followed(cluster):
        del cluster.answers[A.rest_url]
        cluster.watch.lose("a", "its host is gone")
        cluster.set(a=(moved, replace(YES, timeline=2)))
        cluster.say(moved, B, by=B)
        await until(lambda: cluster.watch.primary == moved)
        assert cluster.told == [("moved", "a")]


async def test_one_whose_address_is_somebody_elses_now_is_looked_for() -> None:
    """Addresses of containers are used again: by another member, or by another cluster."""
    cluster = Cluster(A, B)
    cluster.set(a=(A, YES), b=(B, NO))
    moved = member("b", at=9)
    async with followed(cluster):
        cluster.set(c=(B, NO), b=(moved, NO))
        cluster.say(A, moved, replace(C, rest_url=B.rest_url), by=A)
        await until(lambda: sorted(cluster.told) == [("added", "c"), ("moved", "b")])


async def test_the_word_of_another_cluster_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(A, B)
    cluster.set(a=(A, YES), b=(B, NO), c=(C, NO))
    async with followed(cluster):
        cluster.say(C, by=B, scope="theirs")
        with caplog.at_level(logging.WARNING, "replication"):
            await some_rounds(cluster)
        assert cluster.told == []
    told = [record.message for record in caplog.records if "another cluster" in record.message]
    assert len(told) == 1  # once


async def test_a_member_leaves_but_a_listed_one_and_the_primary_do_not() -> None:
    cluster = Cluster(A, B, C, listed=[C])
    cluster.set(a=(A, YES), b=(B, NO), c=(C, NO))
    async with followed(cluster):
        await until(lambda: cluster.watch.is_answering("c"))
        cluster.say(member("d", at=4), by=B)
        cluster.named[A.rest_url] = cluster.named[C.rest_url] = cluster.named[B.rest_url]
        for one in (B, C):
            del cluster.answers[one.rest_url]
        await until(lambda: not cluster.watch.is_answering("b"))
        await some_rounds(cluster)
        cluster.ahead_s += ABSENT_S
        await until(lambda: cluster.told == [("dropped", "b")])
        await some_rounds(cluster)
        assert set(cluster.watch.members) == {"a", "c"}


async def test_a_member_without_an_address_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(A)
    cluster.set(a=(A, YES))
    words = "b is left out: Patroni names no address of its PostgreSQL"
    async with followed(cluster):
        cluster.named[A.rest_url] = Named(members=(A,), left_out=(words,))
        with caplog.at_level(logging.WARNING, "replication"):
            await some_rounds(cluster)
    assert [record.message for record in caplog.records].count(words) == 1
