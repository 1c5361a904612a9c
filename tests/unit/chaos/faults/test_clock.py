"""The faults of clocks on paper: what proves them, and what is refused or left to the boot."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from chaos.faults import clock
from chaos.faults.base import Stage
from chaos.faults.clock_drift import CLOCK_DRIFT, ClockDriftParams
from chaos.faults.clock_step import CLOCK_STEP, ClockStepParams
from chaos.faults.targets import Victim
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from cluster.substrates.base import ClockShift

PARIS = Victim(name="db-paris", hosts=("db-paris",))
HOUR = ClockStepParams(step_s=3600.0)

pytestmark = pytest.mark.anyio


@dataclass
class FakeMachine:
    """A host whose clock can be set; its programs see it, or their own."""

    power: bool = True
    patroni: bool = True
    """It answers."""
    postgres_follows: bool = True
    shifts: list[ClockShift] = field(default_factory=list)

    def has_power(self, host: str) -> bool:
        return self.power

    async def kill_host(self, host: str) -> None: ...

    async def start_host(self, host: str) -> None: ...

    async def shift_clock(self, host: str, shift: ClockShift) -> None:
        self.shifts.append(shift)

    async def restore_clock(self, host: str, shift: ClockShift) -> None:
        self.shifts.remove(shift)

    def clock_offset_s(self, host: str) -> float:
        return sum(shift.step_s for shift in self.shifts)

    async def clock_s(self) -> float | None:
        return float(int(time.time() + self.clock_offset_s(""))) if self.patroni else None


def stage_of(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Stage:
    async def server_clock_s(cluster: RaisedCluster, node: str) -> float | None:
        return time.time() + (machine.clock_offset_s(node) if machine.postgres_follows else 0.0)

    monkeypatch.setattr("chaos.load.server_clock.server_clock_s", server_clock_s)
    monkeypatch.setattr(clock, "PROOF_TIMEOUT_S", 0.05)
    found = SimpleNamespace(substrate=machine, rest={"db-paris": machine})
    return Stage(cluster=cast(RaisedCluster, found))


async def test_both_programs_prove_a_step_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(machine := FakeMachine(), monkeypatch)
    said = await CLOCK_STEP.strike(stage, PARIS, HOUR)
    assert said.startswith(("Patroni's clock is +3599", "Patroni's clock is +3600"))
    assert said.endswith("PostgreSQL's clock is +3600.0 s off")
    done = await CLOCK_STEP.undo(stage, PARIS, HOUR)
    assert done.startswith("set by -3600.0 s: Patroni's clock is")
    assert machine.shifts == []


async def test_a_program_that_keeps_its_time_refutes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(FakeMachine(postgres_follows=False), monkeypatch)
    with pytest.raises(ClusterError, match=r"was not set: .*PostgreSQL's clock is \+0\.0 s off"):
        await CLOCK_STEP.strike(stage, PARIS, HOUR)


async def test_one_that_does_not_answer_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(FakeMachine(patroni=False), monkeypatch)
    said = await CLOCK_DRIFT.strike(stage, PARIS, ClockDriftParams(percent=-20.0))
    assert said == "it gains -20 %: PostgreSQL's clock is +0.0 s off"


async def test_without_power_nothing_looks_at_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(machine := FakeMachine(), monkeypatch)
    await CLOCK_STEP.strike(stage, PARIS, HOUR)
    machine.power = False
    assert (await CLOCK_STEP.undo(stage, PARIS, HOUR)).endswith("its clock is set")
    assert machine.shifts == []
    with pytest.raises(ClusterError, match="db-paris has no power"):
        await CLOCK_STEP.strike(stage, PARIS, HOUR)
