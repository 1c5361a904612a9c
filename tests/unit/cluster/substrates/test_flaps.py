"""Links that flap on paper: out and in by turns, and always in at the end."""

from __future__ import annotations

import anyio
import pytest

from cluster.errors import LabError
from cluster.substrates.flaps import Flaps

BRIEF_S = 0.001
LONG_S = 60.0
DEADLINE_S = 5.0

pytestmark = pytest.mark.anyio


class Cables:
    """Notes every move."""

    def __init__(self) -> None:
        self.moves: list[str] = []
        self.stuck_after = 10**6
        self.many = anyio.Event()

    async def pull(self, host: str) -> None:
        if len(self.moves) >= self.stuck_after:
            raise LabError(f"the plug of {host} is stuck")
        self.moves.append("out")
        if len(self.moves) > 5:
            self.many.set()

    async def plug_in(self, host: str) -> None:
        self.moves.append("in")


async def test_it_goes_out_and_in_until_it_is_ended_and_is_in_then() -> None:
    cables = Cables()
    flaps = Flaps(cables.pull, cables.plug_in)
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            await flaps.begin(tasks, "a", down_s=BRIEF_S, up_s=BRIEF_S)
            assert cables.moves[0] == "out"
            await cables.many.wait()
            times = await flaps.end("a")
            assert times == cables.moves.count("out") >= 3
            assert cables.moves[-1] == "in"
            assert await flaps.end("a") == 0


async def test_it_is_out_once_it_has_begun_and_ending_it_waits_for_nothing() -> None:
    cables = Cables()
    flaps = Flaps(cables.pull, cables.plug_in)
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            await flaps.begin(tasks, "a", down_s=LONG_S, up_s=LONG_S)
            assert cables.moves == ["out"]
            await flaps.begin(tasks, "a", down_s=LONG_S, up_s=LONG_S)  # with other times
            assert cables.moves == ["out", "in", "out"]
            assert await flaps.end("a") == 1


async def test_the_end_of_the_substrate_ends_it() -> None:
    cables = Cables()
    flaps = Flaps(cables.pull, cables.plug_in)
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            await flaps.begin(tasks, "a", down_s=LONG_S, up_s=LONG_S)
            flaps.cancel()


async def test_a_move_that_fails_is_told_and_the_fault_can_be_undone() -> None:
    cables = Cables()
    cables.stuck_after = 2
    flaps = Flaps(cables.pull, cables.plug_in)
    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            await flaps.begin(tasks, "a", down_s=BRIEF_S, up_s=BRIEF_S)
    assert caught.group_contains(LabError, match="the plug of a is stuck")
    with anyio.fail_after(DEADLINE_S):
        assert await flaps.end("a") == 1
