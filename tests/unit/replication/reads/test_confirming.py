"""Commits that confirm the primary: one for all who ask, counted from when it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio
import psycopg
import pytest

from replication.primary.router import Router
from replication.primary.waits import Talks
from replication.primary.watch import Watch
from replication.reads.confirming import Confirmer

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0


@dataclass
class Clocks:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(eq=False)
class Committing:
    """A session whose COMMIT is answered when ``answer`` says so."""

    clock: Clocks
    node: str = "a"
    timeline: int = 1
    waits: tuple[bool, bool] = (True, True)
    """Whether commits wait for a standby, in the transaction and after its commit."""
    error: psycopg.Error | None = None
    answer: anyio.Event = field(default_factory=anyio.Event)
    commits: int = 0
    ended: int = 0
    is_open: bool = True
    is_broken: bool = False
    is_closed_here: bool = False
    has_ended: bool = False

    def begin(self) -> None:
        """Nothing is sent yet."""

    async def execute(self, query: str, params: None) -> tuple[list[tuple[bool]], int]:
        self.clock.now_s += 1.0
        return [(self.waits[0],)], 1

    async def commit(self, proof: str) -> tuple[object, ...]:
        self.commits += 1
        await self.answer.wait()
        self.clock.now_s += 10.0
        self.ended += 1
        if self.error is not None:
            raise self.error
        return (self.waits[1], "0/1")

    def abandon(self) -> None:
        self.is_open = False


@dataclass
class Connecting:
    """What the confirmer asks of a router."""

    session: Committing
    watch: Watch
    primary: str | None = "a"
    connects: int = 0

    async def connect(self) -> Committing:
        self.connects += 1
        self.session.is_open = True
        return self.session

    def is_current(self, session: Committing) -> bool:
        return session.is_open

    def note_failure(self, session: Committing, failure: object) -> None:
        """The watch is not under test."""


async def silent(_: object) -> None:
    await anyio.sleep_forever()


@dataclass
class Scene:
    confirmer: Confirmer
    session: Committing
    router: Connecting
    clock: Clocks

    async def wait(self, commits: int) -> None:
        """One is made, and has ended: a busy machine may take longer than a read waits."""
        await self.confirmer.wait()
        await self.until(lambda: self.session.ended == commits, f"commit {commits} has ended")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        with anyio.move_on_after(LIMIT_S) as limit:
            while not condition():
                await anyio.sleep(0.005)
        assert not limit.cancelled_caught, f"waited in vain until {what}"


@asynccontextmanager
async def confirming(**how: object) -> AsyncIterator[Scene]:
    clock = Clocks()
    session = Committing(clock, **how)  # type: ignore[arg-type]
    router = Connecting(session, Watch((), silent, clock=clock))  # type: ignore[arg-type]
    router.watch.accept("a", 1)
    confirmer = Confirmer(cast(Router, router), Talks(clock), clock)
    async with anyio.create_task_group() as group:
        group.start_soon(confirmer.run)
        yield Scene(confirmer, session, router, clock)
        group.cancel_scope.cancel()


async def test_it_counts_from_when_the_commit_was_sent_not_from_its_answer() -> None:
    async with confirming() as scene:
        assert scene.confirmer.age_s is None
        scene.confirmer.ask()
        await scene.until(lambda: scene.session.commits == 1, "the commit is sent")
        assert scene.confirmer.age_s is None, "it is not acknowledged yet"
        scene.session.answer.set()
        await scene.until(lambda: scene.confirmer.age_s is not None, "it is acknowledged")
        assert scene.router.watch.proven == {1: 101.0}
        assert scene.confirmer.age_s == 10.0


async def test_those_who_wait_share_one_commit_and_the_connection_is_kept() -> None:
    async with confirming() as scene:
        scene.session.answer.set()
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(scene.confirmer.wait)
        await scene.until(lambda: scene.session.ended > 0, "it is acknowledged")
        assert scene.session.commits == 1
        await scene.wait(commits=2)
        assert (scene.session.commits, scene.router.connects) == (2, 1)


async def test_a_read_does_not_wait_for_long_and_the_commit_goes_on_without_it() -> None:
    async with confirming() as scene:
        await scene.confirmer.wait()  # it has no answer: the last standby is lost
        await scene.until(lambda: scene.session.commits == 1, "it is sent")
        scene.session.answer.set()
        await scene.until(lambda: 1 in scene.router.watch.proven, "the standby is back")
        assert scene.session.commits == 1


async def test_nobody_waits_while_there_is_no_primary() -> None:
    async with confirming() as scene:
        scene.router.primary = None
        await scene.confirmer.wait()
        assert scene.router.connects == 0


async def test_a_commit_beside_a_change_of_the_setting_proves_nothing() -> None:
    """It was not there to be waited for, or is gone: the commit may have waited for nobody."""
    for waits in ((True, False), (False, True)):
        async with confirming(waits=waits) as scene:
            scene.session.answer.set()
            await scene.wait(commits=1)
            await scene.confirmer.wait()  # what came of it was noted before the next one
            assert scene.router.watch.proven == {}
    async with confirming(waits=(False, False)) as scene:  # asynchronous: the claim decides
        scene.session.answer.set()
        await scene.wait(commits=1)
        await scene.until(lambda: scene.router.watch.proven == {1: 101.0}, "it is noted")


async def test_a_commit_that_failed_says_why_and_the_next_one_connects_anew() -> None:
    async with confirming(error=psycopg.OperationalError("no more\nspace")) as scene:
        scene.session.answer.set()
        await scene.wait(commits=1)
        await scene.until(lambda: scene.confirmer.trouble == "no more space", "it says why")
        assert scene.router.watch.proven == {}
        scene.session.error = None
        scene.confirmer.ask()
        await scene.until(lambda: scene.confirmer.trouble is None, "the next one is acknowledged")
        assert scene.router.connects == 2
        assert 1 in scene.router.watch.proven


async def test_what_was_acknowledged_on_an_earlier_timeline_is_none_of_the_newest() -> None:
    """Seen in a test of large reads: for as long as the bound of a minute, nobody asked the new
    primary for a commit, and nobody read from it."""
    async with confirming() as scene:
        scene.session.answer.set()
        await scene.confirmer.wait()
        await scene.until(lambda: scene.confirmer.age_s is not None, "it is acknowledged")
        scene.router.watch.accept("b", 2)
        assert scene.confirmer.age_s is None
