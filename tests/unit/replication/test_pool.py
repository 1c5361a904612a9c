"""The pool: bounded, in order, and with a memory for what was dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import anyio
import pytest

from replication.observe import Event, Observers, PoolWaited, SessionOpened
from replication.pool import Pool
from replication.wire import Session

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(eq=False)
class Wire:
    """As much of a session as a pool sees."""

    node: str = "db-a"
    is_clean: bool = True
    closed: list[bool] = field(default_factory=list)

    def abandon(self) -> None:
        self.closed.append(True)
        self.is_clean = False


async def make() -> Session:
    return cast("Session", Wire())


async def refuse() -> Session:
    raise ConnectionError


def wire(session: Session) -> Wire:
    return cast("Wire", session)


async def test_a_clean_session_is_kept_and_another_is_closed() -> None:
    pool = Pool(1, observers=Observers())
    session = await pool.borrow(make)
    pool.give_back(session)
    assert await pool.borrow(make) is session
    wire(session).is_clean = False
    pool.give_back(session)
    assert (pool.idle, pool.lent, wire(session).closed) == (0, 0, [True])


async def test_a_session_that_ended_while_it_was_idle_is_not_handed_out() -> None:
    pool = Pool(1, observers=Observers())
    session = await pool.borrow(make)
    pool.give_back(session)
    wire(session).is_clean = False
    assert await pool.borrow(make) is not session
    assert wire(session).closed == [True]


async def test_after_a_drop_no_older_session_is_handed_out() -> None:
    events: list[Event] = []
    pool = Pool(3, observers=Observers([events.append]))
    idle, out = await pool.borrow(make), await pool.borrow(make)
    pool.give_back(idle)
    pool.drop()
    assert wire(idle).closed == [True]
    assert not pool.is_current(out)
    pool.give_back(out)
    assert wire(out).closed == [True]
    fresh = await pool.borrow(make)
    assert pool.is_current(fresh)
    assert sum(isinstance(event, SessionOpened) for event in events) == 3


async def test_a_session_that_was_being_made_during_a_drop_is_not_handed_out() -> None:
    pool = Pool(1, observers=Observers())
    made: list[Session] = []

    async def make_slowly() -> Session:
        made.append(await make())
        if len(made) == 1:
            pool.drop()
        return made[-1]

    session = await pool.borrow(make_slowly)
    assert session is made[1]
    assert wire(made[0]).closed == [True]
    assert pool.is_current(session)


async def test_nothing_is_lost_by_refusals_and_by_those_who_stop_waiting() -> None:
    pool = Pool(2, observers=Observers())
    for _ in range(5):
        with pytest.raises(ConnectionError):
            await pool.borrow(refuse)
    out = [await pool.borrow(make) for _ in range(2)]
    assert pool.is_exhausted
    for _ in range(5):
        with anyio.move_on_after(0.001) as scope:
            await pool.borrow(make)
        assert scope.cancelled_caught
    for session in out:
        pool.give_back(session)
    with anyio.fail_after(30):
        again = [await pool.borrow(make) for _ in range(2)]
    assert set(again) == set(out)


async def test_one_who_stops_waiting_just_as_it_is_served_passes_its_turn_on() -> None:
    pool = Pool(1, observers=Observers())
    first = await pool.borrow(make)
    scopes = [anyio.CancelScope() for _ in range(3)]
    served: list[int] = []

    async def wait(number: int) -> None:
        with scopes[number]:
            session = await pool.borrow(make)
            served.append(number)
            pool.give_back(session)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
        pool.give_back(first)
        scopes[0].cancel()
    assert served[-2:] == [1, 2]
    assert (pool.idle, pool.lent) == (1, 0)


async def test_whoever_waits_is_served_in_order_and_says_so() -> None:
    events: list[Event] = []
    pool = Pool(1, observers=Observers([events.append]))
    first = await pool.borrow(make)
    served: list[int] = []

    async def wait(number: int) -> None:
        session = await pool.borrow(make)
        served.append(number)
        await anyio.lowlevel.checkpoint()
        pool.give_back(session)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
        pool.give_back(first)
    assert served == list(range(10))
    assert sum(isinstance(event, PoolWaited) for event in events) == 10
