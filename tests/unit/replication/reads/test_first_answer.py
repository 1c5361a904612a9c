"""Members that are made up are asked one after the other; a silent one is overtaken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from replication.reads.first_answer import Pulse, Race

pytestmark = pytest.mark.anyio

PATIENCE_S = 0.02
ENOUGH_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Members:
    """``a`` and so on; each does what ``acts`` says: answers, has no answer, raises, or waits."""

    def __init__(self, group: anyio.abc.TaskGroup | None, **acts: object) -> None:
        self.acts = acts
        self.asked: list[str] = []
        self.silent: list[str] = []
        self.released: list[str] = []
        self.cancelled: list[str] = []
        self.pulses: dict[str, Pulse] = {}
        self.race = Race[str](
            ask=self.ask,
            patience_s=lambda node: PATIENCE_S,
            silent=self.silent.append,
            release=self.released.append,
            group=group,
            clock=anyio.current_time,
        )

    async def ask(self, node: str, pulse: Pulse) -> str | None:
        self.asked.append(node)
        self.pulses[node] = pulse
        act = self.acts[node]
        if isinstance(act, anyio.Event):
            try:
                await act.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled.append(node)
                raise
            return node
        await anyio.lowlevel.checkpoint()
        if isinstance(act, Exception):
            raise act
        return node if act else None

    async def run(self, nodes: str) -> str | None:
        with anyio.fail_after(ENOUGH_S):
            return await self.race.run(list(nodes))


@asynccontextmanager
async def beside() -> AsyncIterator[anyio.abc.TaskGroup]:
    async with anyio.create_task_group() as group:
        yield group


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(ENOUGH_S):
        while not condition():
            await anyio.sleep(0.001)


async def test_one_that_answers_is_the_only_one_that_is_asked() -> None:
    async with beside() as group:
        members = Members(group, a=True, b=True)
        assert await members.run("ab") == "a"
    assert (members.asked, members.silent, members.released) == (["a"], [], [])


async def test_one_that_has_no_answer_is_passed_over() -> None:
    async with beside() as group:
        members = Members(group, a=False, b=False, c=True)
        assert await members.run("abc") == "c"
        assert await members.run("ab") is None
        assert await members.run("") is None
    assert (members.asked, members.silent) == (["a", "b", "c", "a", "b"], [])


async def test_a_silent_one_is_overtaken_and_asked_no_longer() -> None:
    async with beside() as group:
        members = Members(group, a=anyio.Event(), b=anyio.Event(), c=True)
        assert await members.run("abc") == "c"
        await until(lambda: len(members.cancelled) == 2)
    assert sorted(members.silent) == ["a", "b"]
    assert members.released == []


async def test_where_nobody_else_can_answer_the_silent_one_is_waited_for() -> None:
    answers = anyio.Event()
    async with beside() as group:
        members = Members(group, a=answers, b=False)
        group.start_soon(until_asked, members, "b", answers)
        assert await members.run("ab") == "a"
    assert members.silent == []


async def until_asked(members: Members, node: str, then: anyio.Event) -> None:
    await until(lambda: node in members.asked)
    await anyio.sleep(2 * PATIENCE_S)
    then.set()


async def test_the_answer_that_comes_too_late_is_given_back() -> None:
    late = anyio.Event()
    async with beside() as group:
        members = Members(group, a=anyio.Event(), b=late)

        async def both_at_once() -> None:
            await until(lambda: members.asked == ["a", "b"])
            for act in members.acts.values():
                assert isinstance(act, anyio.Event)
                act.set()

        group.start_soon(both_at_once)
        assert await members.run("ab") == "a"
        await until(lambda: members.released == ["b"] or members.cancelled == ["b"])


async def test_one_that_has_spoken_is_not_silent_while_it_goes_on_speaking() -> None:
    """By a clock that moves only when it speaks: that of a busy machine may jump in between."""
    answers, now_s = anyio.Event(), [0.0]
    async with beside() as group:
        members = Members(group, a=answers, b=True)
        members.race.clock = lambda: now_s[0]

        async def speaks() -> None:
            await until(lambda: "a" in members.pulses)
            end_s = anyio.current_time() + 5 * PATIENCE_S
            while anyio.current_time() < end_s:
                now_s[0] += 2 * PATIENCE_S
                members.pulses["a"].beat()
                await anyio.lowlevel.checkpoint()
            answers.set()

        group.start_soon(speaks)
        assert await members.run("ab") == "a"
    assert (members.asked, members.pulses["a"].is_alive) == (["a"], True)


async def test_what_one_raises_is_raised_though_another_is_still_silent() -> None:
    async with beside() as group:
        members = Members(group, a=anyio.Event(), b=ValueError("wrong"))
        with pytest.raises(ValueError, match="wrong"):
            await members.run("ab")
        with pytest.raises(ValueError, match="wrong"):
            await members.run("ba")


async def test_who_gives_up_leaves_nothing_behind() -> None:
    async with beside() as group:
        members = Members(group, a=anyio.Event(), b=anyio.Event())
        with anyio.move_on_after(5 * PATIENCE_S):
            await members.run("ab")
        await until(lambda: sorted(members.cancelled) == ["a", "b"])
    assert members.silent == []


async def test_without_a_group_they_are_asked_one_after_the_other() -> None:
    members = Members(None, a=False, b=True)
    assert await members.run("ab") == "b"
