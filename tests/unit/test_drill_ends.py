"""What a drill does when something goes wrong on its way out, or beside it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from chaos.drill import listeners as listeners_module
from chaos.drill.board import Board, FaultBoard
from chaos.drill.display import LinesDisplay
from chaos.drill.inside import Inside
from chaos.drill.listeners import ListenPlace, listening
from chaos.drill.recorder import Recorder
from chaos.drill.schedule import Schedule
from chaos.drill.show import Show
from chaos.exit_codes import COULD_NOT_RUN, INTERRUPTED
from chaos.scenarios.load import load_scenario
from cluster.errors import ClusterError


class Events:
    """An event log that keeps what it is given."""

    def __init__(self) -> None:
        self.found: list[tuple[str, dict[str, object]]] = []

    def append(self, kind: str, *, at_s: float | None = None, **fields: object) -> None:
        self.found.append((kind, fields))


class Heals:
    """A fault that can be healed, or cannot."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def heal(self, _: object) -> str:
        if self.error is not None:
            raise self.error
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
    schedule = Schedule(scenario, cast(Any, None), recorder)
    boards = [FaultBoard(fault="link-cut", host=h, struck_s=1.0, lasts=True) for h in "abc"]
    faults = [Heals(), Heals(ClusterError("no such network")), Heals()]
    schedule._broken = [
        (scenario.faults[0], board, cast(Any, fault))
        for board, fault in zip(boards, faults, strict=True)
    ]
    with pytest.raises(ClusterError, match="no such network"):
        anyio.run(schedule.heal_all)
    assert [board.host for board in boards if board.healed_s is not None] == ["a", "c"]
    assert [fields["target"] for kind, fields in events.found if kind == "heal"] == ["c", "a"]
    assert "on b was NOT healed: no such network" in words(recorder)
    faults[1].error = None
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


def run_inside(make: Callable[[list[Inside]], Run], recorder: Recorder) -> int:
    """The exit code of a process whose director does what ``make`` made."""

    async def run() -> int:
        made: list[Inside] = []
        director = cast(Any, Director(make(made)))
        folder = Path("/nonexistent")
        made.append(Inside(director, recorder, Silent(), folder=folder, keep=False))
        return await made[0].run(None)

    return anyio.run(run)


def test_an_error_amid_the_stop_does_not_hide_that_it_was_stopped(
    recorder: Recorder, events: Events
) -> None:
    def stopped(made: list[Inside]) -> Run:
        async def drill(**_: object) -> None:
            try:
                made[0]._stop()
                await anyio.sleep_forever()
            finally:
                raise ClusterError("the network could not be removed")

        return drill

    assert run_inside(stopped, recorder) == INTERRUPTED
    [(kind, fields)] = events.found
    assert kind == "interrupted"
    assert fields["reason"] == "stopped by a signal (then: the network could not be removed)"
    assert "could not run" not in words(recorder)


def test_a_signal_at_the_first_step_is_heard(recorder: Recorder, events: Events) -> None:
    async def drill(**_: object) -> None:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL  # else it would end us
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep_forever()

    assert run_inside(lambda _: drill, recorder) == INTERRUPTED
    assert events.found == [("interrupted", {"reason": "stopped by a signal"})]


def test_an_error_without_a_signal_is_the_reason(recorder: Recorder, events: Events) -> None:
    async def drill(**_: object) -> None:
        raise ClusterError("no image")

    assert run_inside(lambda _: drill, recorder) == COULD_NOT_RUN
    assert events.found == [("interrupted", {"reason": "no image"})]


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
