"""Connecting is paced: who goes when, and who is told of what."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import anyio
import psycopg
import pytest

from replication.primary.door import PAUSE_S_MAX, PAUSE_S_MIN, Door
from replication.primary.waits import Superseded
from replication.wire import Session

pytestmark = pytest.mark.anyio

SESSION = cast("Session", object())


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Server:
    """Takes connects or refuses them, when it is told to."""

    def __init__(self) -> None:
        self.error: psycopg.Error | None = None
        self.answers = anyio.Event()
        self.tries = 0

    async def connect(self) -> Session:
        self.tries += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return SESSION


async def ends_of(door: Door, server: Server, count: int, then: Callable[[], None]) -> list[object]:
    """What so many get who come at once; ``then`` is called when all are waiting."""
    ends: list[object] = []

    async def come() -> None:
        try:
            ends.append(await door.through(server.connect))
        except psycopg.Error as error:
            ends.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(come)
        await anyio.wait_all_tasks_blocked()
        then()
    return ends


async def test_an_unknown_server_is_tried_by_one_and_its_refusal_is_told_to_all() -> None:
    door, server = Door(), Server()
    server.error = psycopg.OperationalError("no")
    ends = await ends_of(door, server, 10, server.answers.set)
    assert ends == [server.error] * 10
    assert server.tries == 1


async def test_after_the_first_success_all_go_at_once() -> None:
    door, server = Door(), Server()

    def one_was_let_in() -> None:
        assert server.tries == 1
        server.answers.set()

    assert await ends_of(door, server, 10, one_was_let_in) == [SESSION] * 10
    assert server.tries == 10
    server.answers = anyio.Event()
    assert await ends_of(door, server, 10, server.answers.set) == [SESSION] * 10
    assert server.tries == 20


async def test_failures_are_paced_and_the_pause_grows() -> None:
    now_s = 0.0
    door, server = Door(is_patient=False, clock=lambda: now_s), Server()
    server.error = psycopg.OperationalError("no")
    server.answers.set()
    for _ in range(10_000):
        with pytest.raises(psycopg.OperationalError):
            await door.through(server.connect)
        now_s += 0.001
    # Ten seconds: a few while the pause grows, then between one and four a second.
    assert 10 / (1.5 * PAUSE_S_MAX) - 1 < server.tries < 10 / (0.5 * PAUSE_S_MAX) + 10
    server.error = None
    now_s += 2 * PAUSE_S_MAX
    assert await door.through(server.connect) is SESSION


async def test_whoever_is_patient_waits_for_the_pause_to_end() -> None:
    door, server = Door(), Server()
    server.error = psycopg.OperationalError("no")
    server.answers.set()
    begun_s = anyio.current_time()
    with pytest.raises(psycopg.OperationalError):
        await door.through(server.connect)
    server.error = None
    assert await door.through(server.connect) is SESSION
    assert anyio.current_time() - begun_s >= 0.5 * PAUSE_S_MIN


async def test_another_server_behind_it_is_tried_at_once() -> None:
    door, server = Door(clock=lambda: 0.0), Server()  # no pause ever ends by itself
    server.answers.set()
    assert await door.through(server.connect) is SESSION
    server.error = psycopg.OperationalError("no")
    with pytest.raises(psycopg.OperationalError):
        await door.through(server.connect)
    server.error, tries = None, server.tries

    def somebody_else_is_the_primary() -> None:
        assert server.tries == tries
        door.reset()

    with anyio.fail_after(30):
        assert await ends_of(door, server, 5, somebody_else_is_the_primary) == [SESSION] * 5


async def test_at_a_pace_one_goes_at_a_time_until_it_is_given_up() -> None:
    door, server = Door(clock=lambda: 0.0), Server()  # no pause ever ends by itself
    server.answers.set()
    assert await door.through(server.connect) is SESSION
    door.pace(1.0)
    tries = server.tries

    def all_may_go_again() -> None:
        assert server.tries == tries
        door.pace(None)

    with anyio.fail_after(30):
        assert await ends_of(door, server, 5, all_may_go_again) == [SESSION] * 5


async def test_one_who_stops_trying_and_one_who_is_superseded_hold_nobody_up() -> None:
    door, server = Door(), Server()
    with anyio.move_on_after(0.001):
        await door.through(server.connect)
    server.error = Superseded("somebody else is the primary")
    server.answers.set()
    with pytest.raises(Superseded):
        await door.through(server.connect)
    server.error = None
    assert await door.through(server.connect) is SESSION
