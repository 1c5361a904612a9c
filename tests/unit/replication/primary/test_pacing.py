"""How often members are asked, by a clock that is made up."""

from __future__ import annotations

import itertools

import anyio
import pytest

from replication.primary import waits
from replication.primary.pacing import DOUBT_FORGOTTEN_S, Doubts, search_pause_s
from replication.primary.waits import Talks


@pytest.mark.parametrize(
    ("elapsed_s", "pause_s"), [(0, 0.1), (40, 0.1), (60, 0.1), (300, 0.5), (600, 1), (86_400, 1)]
)
def test_a_search_keeps_its_pace_for_a_failover_and_slows_down_after_it(
    elapsed_s: float, pause_s: float
) -> None:
    assert search_pause_s(elapsed_s, first_s=0.1, most_s=1.0) == pytest.approx(pause_s)


def test_a_first_pace_that_is_slow_stays_as_it_is() -> None:
    assert search_pause_s(600, first_s=5.0, most_s=1.0) == 5.0


def test_the_first_doubt_is_heard_at_once_and_the_next_ever_later() -> None:
    doubts, heard = Doubts(), []
    for eighths in range(160):  # eight a second, for twenty seconds
        if doubts.admit("a", eighths / 8):
            heard.append(eighths / 8)
    assert heard[0] == 0
    gaps = [after - before for before, after in itertools.pairwise(heard)]
    assert gaps == sorted(gaps)
    assert len(heard) <= 14
    assert gaps[-1] == 2


def test_after_a_quiet_time_or_a_loss_a_doubt_is_the_first_again() -> None:
    doubts = Doubts()
    assert doubts.admit("a", 0)
    assert doubts.admit("b", 0)  # each member has its own
    assert not doubts.admit("a", 0.05)
    doubts.forget("a")
    assert doubts.admit("a", 0.05)
    assert doubts.admit("a", 0.05 + DOUBT_FORGOTTEN_S)
    assert not doubts.admit("a", 0.1 + DOUBT_FORGOTTEN_S)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("waiting", [1, 16])
async def test_a_talk_is_doubted_once_and_again_whenever_it_has_taken_twice_as_long(
    waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: a doubt is about the server, so it is one for all."""
    monkeypatch.setattr(waits, "LOOK_INTERVAL_S", 0.0)
    now_s = 0.0
    doubted: list[float] = []
    ends = anyio.Event()

    def clock() -> float:
        nonlocal now_s
        now_s += 0.25 / (waiting + 1)
        if now_s > 70:
            ends.set()
        return now_s

    def doubt(node: str, *, again: bool) -> bool:
        assert node == "db-a"
        if again or not doubts.admit(node, now_s):
            return False
        doubted.append(now_s)
        return True

    doubts = Doubts()
    among = Talks(clock)

    async def wait() -> None:
        with among.with_node("db-a"):
            await ends.wait()

    async with anyio.create_task_group() as group:
        for _ in range(waiting):
            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(among.watch_overdue, doubt)
        await ends.wait()
        group.cancel_scope.cancel()
    assert 5 <= len(doubted) <= 9  # at 1, 2, 4, 8, 16, 32 and 64 s
