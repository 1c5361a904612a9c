"""The fault schedule of a scenario: what strikes whom and when, and what is still broken."""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio

from chaos.drill.board import FaultBoard
from chaos.drill.recorder import Recorder
from chaos.errors import ChaosError, ScheduleError
from chaos.faults import FAULTS, Fault, Stage
from chaos.scenarios.model import FaultStep, Scenario
from cluster.errors import ClusterError


class Schedule:
    """Strikes the faults of one scenario, and heals them, each exactly once."""

    def __init__(self, scenario: Scenario, stage: Stage, recorder: Recorder) -> None:
        self._scenario = scenario
        self._stage = stage
        self._recorder = recorder
        self._broken: list[tuple[FaultStep, FaultBoard, Fault]] = []
        self.last_strike_s = time.monotonic()
        """When the last fault had bitten: what is tried from then on meets it."""

    async def run(self) -> None:
        """Carry out the schedule; returns when its last entry is done.

        Raises:
            ScheduleError: there is no primary to strike.
            ClusterError: a fault could not be brought about.
        """
        begin_s = time.monotonic()
        entries = [(step.at_s, 1, step) for step in self._scenario.faults]
        entries += [
            (step.heal_at_s, 0, step)
            for step in self._scenario.faults
            if step.heal_at_s is not None
        ]
        for at_s, strikes, step in sorted(entries, key=lambda entry: entry[:2]):
            await anyio.sleep(max(0.0, begin_s + at_s - time.monotonic()))
            if strikes:
                await self._strike(step)
            else:
                await self._heal([broken for broken in self._broken if broken[0] is step])

    async def heal_all(self) -> None:
        """Undo every fault that is still there, the newest first."""
        await self._heal(list(reversed(self._broken)))

    async def _strike(self, step: FaultStep) -> None:
        hosts = await self._targets(step)
        async with anyio.create_task_group() as strikes:
            for host in hosts:
                strikes.start_soon(self._strike_host, step, host)
        self.last_strike_s = time.monotonic()

    async def _strike_host(self, step: FaultStep, host: str) -> None:
        fault = FAULTS[step.fault](host=host, process=step.process)
        self._recorder.say(f"FAULT {step.fault} on {host}", loud=True)
        begin_s = time.monotonic()
        shown = FaultBoard(fault=step.fault, host=host, struck_s=begin_s, lasts=fault.lasts)
        self._recorder.board.faults.append(shown)
        if fault.lasts:
            # Before it strikes: what was half done must be healed too.
            self._broken.append((step, shown, fault))
        detail = await fault.inject(self._stage)
        self._recorder.event(
            "fault", at_s=begin_s, fault=step.fault, target=host, node=host, detail=detail
        )

    async def _targets(self, step: FaultStep) -> Sequence[str]:
        primary = await self._stage.cluster.primary()
        if primary is None:
            raise ScheduleError(f"{step.fault} cannot strike: there is no primary")
        if step.target == "primary":
            return [primary]
        return [node for node in self._stage.cluster.rest if node != primary]

    async def _heal(self, broken: Sequence[tuple[FaultStep, FaultBoard, Fault]]) -> None:
        """Each of them, also when another one cannot be healed; then its error."""
        failed: list[Exception] = []
        for entry in broken:
            step, shown, fault = entry
            begin_s = time.monotonic()
            try:
                detail = await fault.heal(self._stage)
            except (ChaosError, ClusterError, OSError) as error:
                self._recorder.say(
                    f"{step.fault} on {shown.host} was NOT healed: {error}", loud=True
                )
                failed.append(error)
                continue
            self._broken.remove(entry)
            shown.healed_s = begin_s
            self._recorder.event(
                "heal", at_s=begin_s, fault=step.fault, target=shown.host, detail=detail
            )
            self._recorder.say(f"heal {step.fault} on {shown.host}: {detail}")
        if failed:
            raise failed[0]
