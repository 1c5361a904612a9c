"""A schedule that follows events: what has been seen lets it go on, what does not come ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from support.evidence.tiny import scenario as tiny_scenario

from chaos.drill.cues import Cues, patience_s
from chaos.drill.recorder import Recorder
from chaos.drill.schedule import Schedule
from chaos.errors import ScheduleError
from chaos.evidence.events import EventLog
from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.registry import FAULTS
from chaos.faults.targets import HOSTS, PRIMARY, Target, Victim
from chaos.live.board import Board, NodeBoard, SiteBoard
from chaos.scenarios.model import CUES, Cue, FaultStep, Scenario
from cluster.topology.load import find_topology

A, B = "db-paris", "db-orsay"


@dataclass
class Machines:
    """A cluster of which only the board knows: what was done to it, and whether it is whole."""

    board: Board
    topology: object = field(default_factory=lambda: find_topology("three-sites"))
    done: list[str] = field(default_factory=list)
    missing: str | None = None
    named: set[str] = field(default_factory=set)

    @property
    def substrate(self) -> Machines:
        return self

    async def primary(self) -> str | None:
        return self.board.leader

    async def missing_of_whole(self) -> str | None:
        return self.missing

    async def named_ahead(self) -> set[str]:
        return self.named


async def rain(stage: Stage, victim: Victim, params: FaultParams) -> str:
    machines = cast(Machines, stage.cluster)
    machines.done.append(f"rain on {victim.name}, first led {stage.led_first}")
    return "wet"


async def dry(stage: Stage, victim: Victim, params: FaultParams) -> str:
    cast(Machines, stage.cluster).done.append(f"dry {victim.name}")
    return "dry"


RAIN: FaultKind[FaultParams] = FaultKind(
    key="rain",
    words=FaultWords(title="rain", healed="sun", noun=str, clause=str),
    params=FaultParams,
    read=lambda table: FaultParams(),
    takes=HOSTS,
    needs=(),
    lasts=True,
    effect=lambda params: "power-off",
    strike=rain,
    undo=dry,
    draw=None,
)
STEP = FaultStep(fault="rain", target=PRIMARY)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "rain", RAIN)  # type: ignore[misc]


def board() -> Board:
    return Board(
        scenario="",
        title="",
        started_s=0.0,
        leader=A,
        sites={"paris": SiteBoard(node=A), "orsay": SiteBoard(node=A)},
        nodes={A: NodeBoard(role="primary"), B: NodeBoard(role="replica")},
    )


def take_over(shown: Board) -> None:
    """B has the leader key and is promoted."""
    shown.leader = B
    shown.nodes[B] = NodeBoard(role="primary")


def acknowledge(shown: Board) -> None:
    """B has acknowledged a write that was begun just now."""
    shown.sites["orsay"] = SiteBoard(node=B, last_attempt_s=float("inf"))


Meanwhile = Callable[[Machines], Awaitable[None]]


def run(
    faults: Sequence[FaultStep],
    folder: Path,
    meanwhile: Meanwhile | None = None,
    rto_s_max: float = 20.0,
) -> Machines:
    """Carry a schedule out, with something that happens meanwhile."""
    shown = board()
    machines = Machines(shown)
    asked = tiny_scenario(faults=tuple(faults), rto_s_max=rto_s_max)

    async def drill() -> None:
        with EventLog(folder) as events:
            stage = Stage(cluster=cast(Any, machines))
            schedule = Schedule(asked, stage, Recorder(events, shown), seed=1)
            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    if meanwhile is not None:
                        tasks.start_soon(meanwhile, machines)
                    await schedule.run()

    anyio.run(drill)
    return machines


async def struck(machines: Machines, times: int) -> None:
    while sum(what.startswith("rain") for what in machines.done) < times:
        await anyio.sleep(0.01)


def test_the_second_fault_strikes_whoever_has_acknowledged(tmp_path: Path) -> None:
    async def life(machines: Machines) -> None:
        await struck(machines, 1)
        take_over(machines.board)
        acknowledge(machines.board)

    machines = run([STEP, replace(STEP, on="first-acknowledged")], tmp_path, life)
    assert machines.done == [f"rain on {A}, first led {A}", f"rain on {B}, first led {A}"]
    assert any("first-acknowledged: fault[1]" in note.text for note in machines.board.notes)


def test_a_heal_follows_on_the_new_primary_and_the_next_fault_on_that(tmp_path: Path) -> None:
    async def life(machines: Machines) -> None:
        await struck(machines, 1)
        take_over(machines.board)

    steps = [replace(STEP, heal_on="new-primary"), replace(STEP, on="healed", heal_after_s=0.1)]
    machines = run(steps, tmp_path, life)
    assert [what.partition(",")[0] for what in machines.done] == [
        f"rain on {A}",
        f"dry {A}",
        f"rain on {B}",
        f"dry {B}",
    ]


def test_two_faults_strike_at_once_when_the_cluster_is_whole_again(tmp_path: Path) -> None:
    """It never seems to be anything else here: whole is it only once the first fault is healed."""

    async def life(machines: Machines) -> None:
        machines.missing = None

    steps = [
        replace(STEP, heal_after_s=0.3),
        replace(STEP, on="whole", after_s=0.1, heal_after_s=0.1),
        replace(STEP, target=Target(selector="host", name=B), on="struck", heal_after_s=0.1),
    ]
    machines = run(steps, tmp_path, life)
    assert [what.partition(",")[0] for what in machines.done] == [
        f"rain on {A}",
        f"dry {A}",
        f"rain on {A}",
        f"rain on {B}",
        f"dry {A}",
        f"dry {B}",
    ]


def test_an_event_that_does_not_come_ends_the_drill_in_words(tmp_path: Path) -> None:
    words = (
        r"fault\[1\] \(rain on primary\) follows on new-primary, which did not come within 0.3 s "
        r"of fault\[0\]"
    )
    with pytest.raises(ExceptionGroup) as caught:
        run([STEP, replace(STEP, on="new-primary")], tmp_path, rto_s_max=0.3)
    assert caught.group_contains(ScheduleError, match=words)


def has_come(event: Cue, change: Callable[[Machines], None], *, is_broken: bool = True) -> bool:
    shown = board()
    machines = Machines(shown, missing="a replica")
    cues = Cues(Stage(cluster=cast(Any, machines)), shown, lambda: is_broken)
    since = cues.strike()
    change(machines)
    return anyio.run(cues.has_come, event, since)


def test_each_event_has_come_only_when_it_has() -> None:
    def nothing(machines: Machines) -> None:
        machines.board.sites["paris"].last_attempt_s = float("inf")  # the old one acknowledges

    def key_only(machines: Machines) -> None:
        machines.board.leader = B

    def whole(machines: Machines) -> None:
        machines.missing = None

    def named(machines: Machines) -> None:
        machines.named = {B}

    assert [event for event in CUES if has_come(event, nothing)] == ["struck"]
    assert not has_come("new-primary", key_only)
    assert has_come("new-primary", lambda machines: take_over(machines.board))
    assert has_come("first-acknowledged", lambda machines: acknowledge(machines.board))
    assert has_come("whole", whole)
    assert has_come("standby-named", named)
    assert has_come("healed", nothing, is_broken=False)


def test_what_the_observers_forgot_meanwhile_is_remembered() -> None:
    """A second fault strikes while the leader key is gone: who led before it is known still."""
    shown = board()
    cues = Cues(Stage(cluster=cast(Any, Machines(shown))), shown, lambda: True)
    cues.strike()
    shown.leader = None
    assert cues.strike().led == A


def test_only_heals_are_waited_for_without_limit() -> None:
    asked: Scenario = tiny_scenario(rto_s_max=7.0)
    assert patience_s("new-primary", asked) == patience_s("first-acknowledged", asked) == 7.0
    for event in ("whole", "standby-named"):
        assert patience_s(event, asked) == 7.0 + asked.fault_s + asked.recovery_s_max
    assert patience_s("healed", asked) is None
