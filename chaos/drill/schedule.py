"""The fault schedule of a scenario: what strikes whom and when, and what is still broken."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import anyio

from chaos.drill.cues import Cues, Strike, patience_s
from chaos.drill.recorder import Recorder
from chaos.errors import ScheduleError
from chaos.evidence.events import FaultHealed, FaultStruck
from chaos.faults.base import Stage
from chaos.faults.book import Book, Stroke, Undoing
from chaos.faults.broken import sites_due
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Victim, chance, hosts_of, layout_of, resolve
from chaos.live.board import FaultBoard
from chaos.scenarios.agenda import Agenda, Task
from chaos.scenarios.model import FaultStep, Scenario, drawn

POLL_S = 0.05
"""How exactly an event is followed. The observers look at the members every 0.1 s."""
PRIMARY_TIMEOUT_S = 5.0
"""On a busy machine a member misses the deadline of one question; a new primary acknowledges its
first write before Patroni says that it leads. A failover takes longer."""


class Schedule:
    """Strikes the faults of one scenario, and heals them, each exactly once.

    Args:
        scenario: whose faults.
        stage: where they strike.
        recorder: takes the evidence.
        seed: of the drill; chooses whom a target leaves to chance.
    """

    def __init__(self, scenario: Scenario, stage: Stage, recorder: Recorder, seed: int) -> None:
        self._scenario = scenario
        self._stage = stage
        self._recorder = recorder
        self._seed = seed
        self._chance = chance(seed)
        self._book = Book()
        self._told: dict[Stroke, tuple[FaultStep, FaultBoard]] = {}
        self._cues = Cues(stage, recorder.board, lambda: bool(self._book.broken))
        self._strikes: dict[int, Strike] = {}
        self.last_begun_s = time.monotonic()
        """When the last fault began to strike: outages count from here."""
        self.last_strike_s = self.last_begun_s
        """When the last fault had taken effect: what is tried from then on meets it. A switchover
        takes seconds to take effect."""

    @property
    def sites_due(self) -> frozenset[str]:
        """The sites that can be served in spite of what is broken now."""
        return sites_due(self._stage.cluster.substrate.topology, self._book.broken)

    async def run(self) -> None:
        """Carry out the schedule; returns when its last entry is done.

        Raises:
            ScheduleError: a fault has no host to strike, or an event that it follows did not come.
            ClusterError: a fault could not be brought about.
        """
        agenda = Agenda(self._scenario.faults, self._seed)
        begin_s = time.monotonic()
        while not agenda.is_done:
            for task in agenda.waiting:
                if await self._has_come(task):
                    agenda.came(task, time.monotonic() - begin_s)
            task_due = agenda.due()
            left_s = POLL_S
            if task_due is not None and task_due.due_s is not None:
                left_s = begin_s + task_due.due_s - time.monotonic()
                if left_s <= 0:
                    await self._carry_out(task_due)
                    agenda.done(task_due, time.monotonic() - begin_s)
                    continue
            await anyio.sleep(min(left_s, POLL_S) if agenda.waiting else left_s)

    async def _has_come(self, task: Task) -> bool:
        """Whether the event that a task awaits has come.

        Raises:
            ScheduleError: it has not, and its time is over.
        """
        event, since = task.awaits, self._strikes[task.since or 0]
        assert event is not None
        is_too_early = event == "whole" and self._is_broken_before(task.index)
        if not is_too_early and await self._cues.has_come(event, since):
            after = f", and comes {task.after_s:g} s later" if task.after_s else ""
            self._recorder.say(f"{event}: {task} follows{after}")
            return True
        limit_s = patience_s(event, self._scenario)
        if limit_s is not None and time.monotonic() - since.begun_s > limit_s:
            raise ScheduleError(
                f"{task} follows on {event}, which did not come within {limit_s:g} s of "
                f"fault[{task.since}]"
            )
        return False

    def _is_broken_before(self, index: int) -> bool:
        """Whether a fault before this one in the file still breaks something."""
        before = drawn(self._scenario.faults, self._seed)[:index]
        return any(
            step in before and FAULTS[step.fault].effect(step.params) != "none"
            for step, _ in map(self._told.__getitem__, self._book.broken)
        )

    async def _carry_out(self, task: Task) -> None:
        if task.act == "strike":
            self._strikes[task.index] = struck = self._cues.strike()
            if self._stage.led_first is None:
                self._stage = replace(self._stage, led_first=struck.led)
            await self.strike(task.step)
        else:
            mine = [one for one in self._book.broken if self._told[one][0] is task.step]
            await self.heal(mine)

    async def heal_all(self) -> None:
        """Undo every fault that is still there, the newest first."""
        await self.heal(None)

    @property
    def broken(self) -> tuple[Stroke, ...]:
        """What lasts and was not undone, the oldest first."""
        return self._book.broken

    async def strike(
        self, step: FaultStep, victims: Sequence[Victim] | None = None
    ) -> Mapping[str, str]:
        """Strike all victims of a step at once; by victim, what was done, in words.

        Args:
            step: what strikes.
            victims: whom; None: whom the step means now.

        Raises:
            ScheduleError: the step means nobody.
            ClusterError, ChaosError: it could not be brought about; several in a group.
        """
        if victims is None:
            victims = await self.victims(step)
        details: dict[str, str] = {}
        stage = replace(self._stage, struck=hosts_of(victims))

        async def strike_one(victim: Victim) -> None:
            details[victim.name] = await self._strike_one(stage, step, victim)

        self.last_begun_s = time.monotonic()
        async with anyio.create_task_group() as strikes:
            for victim in victims:
                strikes.start_soon(strike_one, victim)
        self.last_strike_s = time.monotonic()
        return details

    async def _strike_one(self, stage: Stage, step: FaultStep, victim: Victim) -> str:
        stroke = Stroke(kind=FAULTS[step.fault], victim=victim, params=step.params)
        host = victim.name
        self._recorder.say(f"FAULT {stroke}", loud=True)
        begin_s = time.monotonic()
        shown = FaultBoard(
            fault=step.fault,
            host=host,
            struck_s=begin_s,
            lasts=stroke.stays,
            broken=stroke.kind.broken(host, step.params),
        )
        self._recorder.board.faults.append(shown)
        self._told[stroke] = (step, shown)
        detail = await self._book.strike(stage, stroke)
        self._recorder.event(
            FaultStruck(
                t_s=begin_s,
                fault=step.fault,
                target=host,
                node=host,
                detail=detail,
                took_s=round(time.monotonic() - begin_s, 3),
            )
        )
        return detail

    async def victims(self, step: FaultStep) -> Sequence[Victim]:
        """Whom a step means now. What is left to chance is drawn anew with every call.

        Raises:
            ScheduleError: it means nobody.
        """
        cluster = self._stage.cluster
        primary = await self._primary() if step.target.needs_primary else None
        dcs_leader = await cluster.dcs_leader() if step.target.needs_dcs_leader else None
        layout = layout_of(cluster.substrate.topology)
        try:
            return resolve(
                step.target,
                layout,
                primary=primary,
                random=self._chance,
                dcs_leader=dcs_leader,
            )
        except ScheduleError as error:
            raise ScheduleError(f"{step.fault} cannot strike: {error}") from error

    async def _primary(self) -> str | None:
        """Who leads, as soon as it says so; None where nobody does in time."""
        with anyio.move_on_after(PRIMARY_TIMEOUT_S):
            while (primary := await self._stage.cluster.primary()) is None:
                await anyio.sleep(POLL_S)
            return primary
        return None

    async def heal(self, strokes: Iterable[Stroke] | None) -> list[str]:
        """Undo each of them, also when another one cannot be undone; what was done, in words.

        Args:
            strokes: which; None: all, the newest first.

        Raises:
            ClusterError, ChaosError, OSError: the first that could not be.
        """
        words: list[str] = []
        failed: list[Exception] = []
        async for undoing in self._book.heal(self._stage, strokes):
            self._tell(undoing)
            if undoing.error is None:
                words.append(f"{undoing.stroke}: {undoing.detail}")
            else:
                failed.append(undoing.error)
        if failed:
            raise failed[0]
        return words

    def _tell(self, undoing: Undoing) -> None:
        step, shown = self._told[undoing.stroke]
        if undoing.error is not None:
            words = f"{undoing.stroke} was NOT healed: {undoing.error}"
            self._recorder.say(words, loud=True)
            return
        begin_s, detail = undoing.begin_s, undoing.detail
        shown.healed_s = begin_s
        self._recorder.event(
            FaultHealed(t_s=begin_s, fault=step.fault, target=shown.host, detail=detail)
        )
        self._recorder.say(f"heal {undoing.stroke}: {detail}")
