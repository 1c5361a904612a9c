"""The pool: bounded, in order, and with a memory for what was dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

import anyio
import psycopg
import pytest

from replication.observability.events import Event, Observers, PoolWaited, SessionOpened
from replication.primary.pool import Pool
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


@pytest.fixture
async def new_pool() -> AsyncIterator[Callable[..., Pool]]:
    """Makes pools whose openers end with the test."""

    def new(size: int, observers: Observers | None = None, linger_s: float = 0.0) -> Pool:
        observers = observers or Observers()
        return Pool(size, spawn=group.start_soon, linger_s=linger_s, observers=observers)

    async with anyio.create_task_group() as group:
        yield new
        group.cancel_scope.cancel()


def wire(session: Session) -> Wire:
    return cast("Wire", session)


async def test_a_clean_session_is_kept_and_another_is_closed(new_pool: Callable[..., Pool]) -> None:
    pool = new_pool(1)
    session = await pool.borrow(make)
    pool.give_back(session)
    assert await pool.borrow(make) is session
    wire(session).is_clean = False
    pool.give_back(session)
    assert (pool.idle, pool.lent, wire(session).closed) == (0, 0, [True])


async def test_a_session_that_ended_while_it_was_idle_is_not_handed_out(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(1)
    session = await pool.borrow(make)
    pool.give_back(session)
    wire(session).is_clean = False
    assert await pool.borrow(make) is not session
    assert wire(session).closed == [True]


async def test_after_a_drop_no_older_session_is_handed_out(new_pool: Callable[..., Pool]) -> None:
    events: list[Event] = []
    pool = new_pool(3, Observers([events.append]))
    idle, out = await pool.borrow(make), await pool.borrow(make)
    pool.give_back(idle)
    pool.drop()
    assert wire(idle).closed == [True]
    pool.give_back(out)
    assert wire(out).closed == [True]
    fresh = await pool.borrow(make)
    pool.give_back(fresh)
    assert await pool.borrow(make) is fresh
    assert sum(isinstance(event, SessionOpened) for event in events) == 3


async def test_a_session_that_was_being_made_during_a_drop_is_not_handed_out(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(1)
    made: list[Session] = []

    async def make_slowly() -> Session:
        made.append(await make())
        if len(made) == 1:
            pool.drop()
        return made[-1]

    session = await pool.borrow(make_slowly)
    assert session is made[1]
    assert wire(made[0]).closed == [True]
    pool.give_back(session)
    assert await pool.borrow(make) is session


async def test_nothing_is_lost_by_refusals_and_by_those_who_stop_waiting(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(2)
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


async def test_one_who_stops_waiting_just_as_it_is_served_passes_its_turn_on(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(1)
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


async def test_whoever_waits_is_served_in_order_and_says_so(new_pool: Callable[..., Pool]) -> None:
    events: list[Event] = []
    pool = new_pool(1, Observers([events.append]))
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


async def test_one_who_waits_for_a_connect_is_served_by_what_is_given_back(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(2)
    connected = anyio.Event()

    async def connects_late() -> Session:
        await connected.wait()
        return await make()

    first = await pool.borrow(make)
    served: list[Session] = []

    async def wait() -> None:
        served.append(await pool.borrow(connects_late))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        pool.give_back(first)
    assert served == [first]
    connected.set()  # what was begun is finished, for the next one
    await anyio.wait_all_tasks_blocked()
    assert (pool.idle, pool.lent) == (1, 1)
    assert await pool.borrow(refuse) is not first


async def test_a_failed_connect_is_told_to_all_who_wait_and_leaves_the_sessions_alone(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(3)
    first = await pool.borrow(make)
    refused: list[int] = []

    async def wait(number: int) -> None:
        with pytest.raises(ConnectionError):
            await pool.borrow(refuse)
        refused.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(wait, number)
    assert sorted(refused) == list(range(5))
    pool.give_back(first)
    assert await pool.borrow(refuse) is first


async def test_nobody_opens_a_session_for_one_who_has_stopped_waiting(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(2)
    ended: list[bool] = []

    async def connects_never() -> Session:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)
        raise AssertionError

    for _ in range(3):
        with anyio.move_on_after(0.001):
            await pool.borrow(connects_never)
        await anyio.wait_all_tasks_blocked()
    assert len(ended) == 3
    assert await pool.borrow(make)


async def test_a_failed_connect_is_not_told_while_somebody_may_give_a_session_back(
    new_pool: Callable[..., Pool],
) -> None:
    pool = new_pool(2, linger_s=600)
    tries: list[int] = []

    async def refuses_after_a_while() -> Session:
        tries.append(1)
        await anyio.sleep(0.001)
        raise psycopg.OperationalError

    first = await pool.borrow(make)
    served: list[Session] = []

    async def wait() -> None:
        served.append(await pool.borrow(refuses_after_a_while))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            while len(tries) < 5:  # for the one who waits, it is tried again and again
                await anyio.sleep(0.001)
            assert not served
            pool.give_back(first)
    assert served == [first]
    pool.give_back(first)
    first = await pool.borrow(make)
    pool.give_back(first)
    pool.drop()
    with anyio.fail_after(30), pytest.raises(psycopg.OperationalError):
        await pool.borrow(refuses_after_a_while)  # nobody has any
