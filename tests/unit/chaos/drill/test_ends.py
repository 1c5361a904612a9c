"""What a drill does when something goes wrong on its way out, or beside it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from chaos.drill.process import DrillProcess
from chaos.drill.prometheus import Show
from chaos.drill.recorder import Recorder
from chaos.drill.schedule import Schedule
from chaos.evidence.events import FaultHealed, Interrupted, RunEvent
from chaos.faults.base import NO_PARAMS
from chaos.faults.book import Stroke
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Victim
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED
from chaos.live import listeners as listeners_module
from chaos.live.board import Board, FaultBoard
from chaos.live.listeners import ListenPlace, listening
from chaos.live.terminal import LinesDisplay
from chaos.scenarios.load import load_scenario
from cluster.errors import ClusterError


class Events:
    """An event log that keeps what it is given."""

    def __init__(self) -> None:
        self.found: list[RunEvent] = []

    def append(self, event: RunEvent) -> None:
        self.found.append(event)

    def reasons(self) -> list[str | None]:
        """Of all events, which must be interruptions."""
        assert all(isinstance(event, Interrupted) for event in self.found)
        return [event.reason for event in self.found if isinstance(event, Interrupted)]


class Heals:
    """Links that can be plugged in again, or cannot."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}

    async def undo(self, _: object, victim: Victim, __: object) -> str:
        if victim.name in self.errors:
            raise self.errors[victim.name]
        return "plugged in"


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def recorder(events: Events) -> Recorder:
    return Recorder(cast(Any, events), Board(scenario="host-loss", title="", started_s=0.0))


def words(recorder: Recorder) -> str:
    return "\n".join(note.text for note in recorder.board.notes)


def test_one_fault_that_cannot_be_healed_keeps_no_other_broken(
    recorder: Recorder, events: Events
) -> None:
    scenario = load_scenario("host-loss")
    schedule = Schedule(scenario, cast(Any, None), recorder, 1)
    boards = [FaultBoard(fault="link-cut", host=h, struck_s=1.0, lasts=True) for h in "abc"]
    heals = Heals()
    heals.errors["b"] = ClusterError("no such network")
    kind = replace(FAULTS["link-cut"], undo=heals.undo)
    step = replace(scenario.faults[0], fault="link-cut")
    for board in boards:
        victim = Victim(name=board.host, hosts=(board.host,))
        stroke = Stroke(kind=kind, victim=victim, params=NO_PARAMS)
        schedule._book.note(stroke)
        schedule._told[stroke] = (step, board)
    with pytest.raises(ClusterError, match="no such network"):
        anyio.run(schedule.heal_all)
    assert [board.host for board in boards if board.healed_s is not None] == ["a", "c"]
    assert [one.target for one in events.found if isinstance(one, FaultHealed)] == ["c", "a"]
    assert "on b was NOT healed: no such network" in words(recorder)
    heals.errors.clear()
    anyio.run(schedule.heal_all)  # on the way out it is tried again
    assert boards[1].healed_s is not None


Run = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Director:
    """Does what a test says in place of a drill."""

    run: Run


class Silent:
    """A display that shows nothing."""

    async def run(self) -> None:
        await anyio.sleep_forever()

    def close(self) -> None: ...


def run_inside(make: Callable[[list[DrillProcess]], Run], recorder: Recorder) -> int:
    """The exit code of a process whose director does what ``make`` made."""

    async def run() -> int:
        made: list[DrillProcess] = []
        director = cast(Any, Director(make(made)))
        folder = Path("/nonexistent")
        made.append(DrillProcess(director, recorder, Silent(), folder=folder, keep=None))
        return await made[0].run(None)

    return anyio.run(run)


def test_an_error_amid_the_stop_does_not_hide_that_it_was_stopped(
    recorder: Recorder, events: Events
) -> None:
    def stopped(made: list[DrillProcess]) -> Run:
        async def drill(**_: object) -> None:
            try:
                made[0]._stop()
                await anyio.sleep_forever()
            finally:
                raise ClusterError("the network could not be removed")

        return drill

    assert run_inside(stopped, recorder) == INTERRUPTED
    [event] = events.found
    assert isinstance(event, Interrupted)
    assert event.reason == "stopped by a signal (then: the network could not be removed)"
    assert "could not run" not in words(recorder)


def test_a_signal_at_the_first_step_is_heard(recorder: Recorder, events: Events) -> None:
    async def drill(**_: object) -> None:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # else it would end us
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep_forever()

    assert run_inside(lambda _: drill, recorder) == INTERRUPTED
    assert events.reasons() == ["stopped by a signal"]


def test_an_error_without_a_signal_is_the_reason(recorder: Recorder, events: Events) -> None:
    async def drill(**_: object) -> None:
        raise ClusterError("no image")

    assert run_inside(lambda _: drill, recorder) == COULD_NOT_RUN
    assert events.reasons() == ["no image"]


def test_a_drill_goes_on_when_its_metrics_cannot_be_shown(
    recorder: Recorder, tmp_path: Path
) -> None:
    raw = socket.socket()  # does not listen
    raw.setblocking(False)
    show = Show(recorder, tmp_path, [raw])

    async def drill() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(show.serve)
            tasks.start_soon(show.watch, cast(Any, None))  # there is no such cluster

    anyio.run(drill)
    raw.close()
    assert "metrics are not shown any more: " in words(recorder)
    assert "the metrics are the drill's only: " in words(recorder)


def test_a_drawn_port_that_is_taken_at_the_bridge_is_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[socket.socket] = []

    def listener(host: str, port: int) -> socket.socket:
        if host == "127.0.0.2" and len(taken) < 2:
            taken.append(socket.create_server((host, port)))
        return real(host, port)

    real = listeners_module._listener
    monkeypatch.setattr(listeners_module, "bridge_addresses", lambda: ("127.0.0.2",))
    monkeypatch.setattr(listeners_module, "_listener", listener)
    try:
        with listening(ListenPlace(port=0)) as listeners:
            ports = {raw.getsockname()[1] for raw in listeners}
        assert len(ports) == 1
        assert ports.isdisjoint(raw.getsockname()[1] for raw in taken)
    finally:
        for raw in taken:
            raw.close()


def test_a_drill_goes_on_when_nobody_reads_what_it_says(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Closed())
    display = LinesDisplay(recorder.board, quiet=False)
    recorder.say("phase: boot")
    display.close()
    recorder.say("phase: steady")
    display.close()
