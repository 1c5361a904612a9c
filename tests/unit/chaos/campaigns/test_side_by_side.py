"""Labs side by side: who is given which run, and what is run alone; with invented workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.campaigns import a_run

from chaos.campaigns.cases import BLOCK
from chaos.campaigns.lab_worker import WorkerReply
from chaos.campaigns.side_by_side import LabProcess, SideBySide, labs_for, next_run
from chaos.errors import CampaignError


class Invented(LabProcess):
    """A worker whose runs end when the test says so."""

    def __init__(self) -> None:
        self.replies, self._write = os.pipe()
        self.run: int | None = None
        self.last: int | None = None
        self.stops = 0
        self._said: list[WorkerReply] = []

    def give(self, n: int) -> None:
        assert self.run is None
        self.run = self.last = n

    def reply(self, *, is_hindered: bool = False, error: str = "") -> None:
        """Its run has ended."""
        assert self.run is not None
        line = None if is_hindered or error else a_run(self.run)
        self._said.append(WorkerReply(n=self.run, line=line, is_hindered=is_hindered, error=error))
        os.write(self._write, b".")

    def take(self) -> WorkerReply:
        os.read(self.replies, 1)
        self.run = None
        return self._said.pop(0)

    def stop(self) -> None:
        self.stops += 1

    def end(self) -> None:
        os.close(self.replies)
        os.close(self._write)


Make = Callable[[int], tuple[SideBySide, list[Invented]]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SideBySide] = []

    def of(count: int) -> tuple[SideBySide, list[Invented]]:
        workers = [Invented() for _ in range(count)]
        made.append(SideBySide(workers, lambda text: None))
        return made[-1], workers

    yield of
    for one in made:
        one.end()


def test_each_worker_goes_on_with_its_block_and_is_given_nothing_twice(make: Make) -> None:
    sides, (one, other) = make(2)
    sides.give((), 9)
    assert (one.run, other.run) == (1, BLOCK + 1)
    one.reply()
    assert [reply.n for reply in sides.take()] == [1]
    sides.give({1}, 9)
    assert (one.run, other.run) == (2, BLOCK + 1)
    assert sides.under_way == 2


def test_no_more_is_begun_than_was_asked_for(make: Make) -> None:
    sides, (one, other) = make(2)
    sides.give((), 1)
    assert (one.run, other.run) == (1, None)
    sides.give((), 0)
    assert other.run is None
    assert not sides.is_idle


def test_what_the_machine_spoilt_is_run_once_more_by_the_same_worker_alone(make: Make) -> None:
    sides, (one, other) = make(2)
    sides.give((), 2)
    one.reply(is_hindered=True)
    assert sides.take() == []
    sides.give((), 5)
    assert (one.run, other.run) == (None, BLOCK + 1), "nothing is begun beside it"
    other.reply()
    sides.take()
    sides.give({BLOCK + 1}, 5)
    assert (one.run, other.run) == (1, None)
    sides.give({BLOCK + 1}, 5)
    assert other.run is None, "still nothing beside it"
    one.reply()
    assert [reply.n for reply in sides.take()] == [1]
    assert sides.is_idle


def test_a_run_that_could_not_be_made_is_said_with_its_reason(make: Make) -> None:
    sides, (one,) = make(1)
    sides.give((), 1)
    one.reply(error="no PostgreSQL")
    with pytest.raises(CampaignError, match="run 1: no PostgreSQL"):
        sides.take()


def test_a_stop_reaches_every_drill_under_way(make: Make) -> None:
    sides, workers = make(3)
    sides.give((), 2)
    sides.stop()
    assert [worker.stops for worker in workers] == [1, 1, 0]


@given(
    st.sets(st.integers(1, 60)),
    st.sets(st.integers(1, 60), max_size=4),
    st.none() | st.integers(1, 60),
)
def test_a_run_is_new_and_in_the_workers_own_block_while_that_has_one(
    done: set[int], under_way: set[int], last: int | None
) -> None:
    n = next_run(done, under_way, last)
    assert n >= 1
    assert n not in done | under_way
    if last is not None:
        block = range((last - 1) // BLOCK * BLOCK + 1, (last - 1) // BLOCK * BLOCK + BLOCK + 1)
        left = set(block) - done - under_way
        assert not left & set(range(1, max(done | under_way, default=0) + 1)) or n == min(left)


def test_how_many_labs_a_machine_takes() -> None:
    assert [labs_for(cores) for cores in (None, 1, 2, 3, 4, 16)] == [1, 1, 1, 1, 2, 8]
