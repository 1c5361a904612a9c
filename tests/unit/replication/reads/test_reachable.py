"""Who is left out of reads, and for how long; members that are made up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import psycopg
import pytest

from replication.reads import reachable
from replication.reads.reachable import PATIENCE_S_MAX, PATIENCE_S_MIN, Reachable

pytestmark = pytest.mark.anyio

SILENT = psycopg.errors.ConnectionTimeout("a did not answer")
REFUSED = psycopg.OperationalError("a takes\n no connection")
WRONG = ValueError("the file of a certificate cannot be read")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Member:
    """One, and what became of the questions to it."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.is_member = True
        self.asked = 0
        self.interrupted: list[str] = []
        self.reachable = Reachable(self.probe, self.interrupted.append)

    async def probe(self, node: str) -> float | None:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if not self.is_member:
            return None
        if self.fails is not None:
            raise self.fails
        return 0.001


@asynccontextmanager
async def running(member: Member) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(member.reachable.run)
        await anyio.wait_all_tasks_blocked()
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.001)


@pytest.mark.parametrize("fails", [SILENT, REFUSED, WRONG])
async def test_one_that_failed_is_left_out_until_it_answers(fails: Exception) -> None:
    member = Member()
    member.fails = fails
    async with running(member):
        member.reachable.leave_out("a", "it was silent")
        assert member.reachable.why_not("a") == "it was silent"
        await until(lambda: member.asked > 1)
        assert member.reachable.why_not("a") == " ".join(str(fails).split())
        assert bool(member.interrupted) == (fails is SILENT)  # one that refuses cuts by itself
        member.fails = None
        await until(lambda: member.reachable.why_not("a") is None)


async def test_it_is_asked_by_one_and_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(reachable.random, "uniform", lambda low, high: pauses.append(high) or high)
    monkeypatch.setattr(reachable, "PAUSE_S_MIN", 0.002)
    monkeypatch.setattr(reachable, "PAUSE_S_MAX", 0.03)
    member = Member()
    member.fails = SILENT
    async with running(member):
        begun_s = anyio.current_time()
        while len(pauses) < 8:
            member.reachable.leave_out("a", "it was silent")  # by every read that tries it
            member.reachable.doubt("a", again=False)
            await anyio.lowlevel.checkpoint()
        # 2 + 4 + 8 + 16 + 30 + 30 + 30 ms; without growth it would be 14.
        assert anyio.current_time() - begun_s > 0.11


async def test_one_that_serves_a_read_is_left_out_no_longer_though_it_takes_no_connection() -> None:
    member = Member()
    member.fails = SILENT
    async with running(member):
        member.reachable.leave_out("a", "it was silent")
        await until(lambda: bool(member.interrupted))
        member.reachable.served("a")
        assert member.reachable.why_not("a") is None
        asked = member.asked
        await anyio.wait_all_tasks_blocked()  # the question was taken back
        assert (member.asked, member.reachable.why_not("a")) == (asked, None)
        member.reachable.leave_out("a", "it was silent")
        await until(lambda: member.asked > asked)


async def test_one_that_is_no_member_any_more_is_forgotten() -> None:
    member = Member()
    member.fails = SILENT
    async with running(member):
        member.reachable.leave_out("a", "it was silent")
        member.is_member = False
        await until(lambda: member.reachable.why_not("a") is None)


async def test_a_doubt_leaves_nobody_out_that_answers() -> None:
    member = Member()
    async with running(member):
        assert member.reachable.doubt("a", again=False)
        assert not member.reachable.doubt("a", again=True)
        assert member.reachable.why_not("a") is None
        await until(lambda: member.asked == 1)
        assert member.interrupted == []


async def test_while_nobody_asks_nobody_is_left_out() -> None:
    """It would be for good."""
    member = Member()
    member.reachable.leave_out("a", "it was silent")
    assert member.reachable.why_not("a") is None


async def test_patience_follows_what_is_usual_within_bounds() -> None:
    member = Member()
    assert member.reachable.patience_s("a") == PATIENCE_S_MIN
    for _ in range(50):
        member.reachable.answered("a", 0.0005)
    assert member.reachable.patience_s("a") == PATIENCE_S_MIN
    for _ in range(50):
        member.reachable.answered("a", 0.1)
    assert 0.1 < member.reachable.patience_s("a") < PATIENCE_S_MAX
    for _ in range(50):
        member.reachable.answered("a", 10.0)
    assert member.reachable.patience_s("a") == PATIENCE_S_MAX


@pytest.mark.parametrize("reason", ["slow for reads", "busy with long reads"])
async def test_one_that_answers_is_not_asked_again_and_again(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Each question is a login of its own: a replica that answers all of them, and is too slow for
    reads, would get hundreds a second from every process."""
    monkeypatch.setattr(reachable.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(reachable, "PAUSE_S_MIN", 0.01)
    monkeypatch.setattr(reachable, "PAUSE_S_MAX", 0.08)
    member = Member()
    async with running(member):
        begun_s = anyio.current_time()
        while member.asked < 6:
            if reason == "slow for reads":
                member.reachable.leave_out("a", "it was silent")
            else:
                member.reachable.doubt("a", again=False)
            await anyio.lowlevel.checkpoint()
        # 10 + 20 + 40 + 80 + 80 ms
        assert anyio.current_time() - begun_s > 0.22


async def test_one_that_was_left_in_peace_is_asked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reachable, "PAUSE_S_MIN", 60.0)
    monkeypatch.setattr(reachable, "CALM_S", 0.0)
    member = Member()
    async with running(member):
        for count in (1, 2, 3):
            member.reachable.doubt("a", again=False)
            await until(lambda: member.asked == count)  # noqa: B023
            await anyio.sleep(0.001)
