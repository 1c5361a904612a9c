"""What of a schedule is still to be done, when, and on what it waits. Pure.

An entry is done at a known moment, or waits: for the strike that it counts from, and then for its
event. Whoever carries it out says what has struck and which event has come; the agenda says what is
due. All moments are in seconds after the fault phase began.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from chaos.scenarios.model import Cue, FaultStep, drawn


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """One strike or one heal."""

    act: Literal["heal", "strike"]
    index: int
    """Of its step in the schedule."""
    step: FaultStep
    due_s: float | None = None
    """None: it is not known yet."""
    since: int | None = None
    """The step whose strike it counts from; None: it has a moment of its own."""
    event: Cue | None = None
    """What it waits for after that strike; None: for nothing but ``after_s``."""
    after_s: float = 0.0
    since_s: float | None = None
    """When that strike had taken effect; None: it has not yet."""

    @property
    def awaits(self) -> Cue | None:
        """The event that it waits for now."""
        is_waiting = self.due_s is None and self.since_s is not None
        return self.event if is_waiting else None

    def __str__(self) -> str:
        verb = "the heal of " if self.act == "heal" else ""
        return f"{verb}fault[{self.index}] ({self.step.fault} on {self.step.target})"


class Agenda:
    """The tasks of one schedule.

    Args:
        faults: the schedule of a scenario that was found right (``problems_of_scenario``).
        seed: of the drill; chooses what is left to chance.
    """

    def __init__(self, faults: Iterable[FaultStep], seed: int) -> None:
        self._tasks = [
            task
            for index, step in enumerate(drawn(faults, seed))
            for task in (_strike_of(index, step), _heal_of(index, step))
            if task is not None
        ]

    @property
    def is_done(self) -> bool:
        """Nothing is left to do."""
        return not self._tasks

    @property
    def waiting(self) -> list[Task]:
        """What waits for an event that may come now."""
        return [task for task in self._tasks if task.awaits is not None]

    def came(self, task: Task, now_s: float) -> None:
        """The event that a task awaits has come."""
        task.due_s = now_s + task.after_s

    def due(self) -> Task | None:
        """What is to be done next; None while that is not known. At the same moment heals come
        first, then the order of the file."""
        known = [task for task in self._tasks if task.due_s is not None]
        return min(known, key=lambda task: (task.due_s, task.act, task.index), default=None)

    def done(self, task: Task, now_s: float) -> None:
        """A task was carried out; what counts from a strike begins to."""
        self._tasks.remove(task)
        if task.act == "heal":
            return
        for other in self._tasks:
            if other.since == task.index:
                other.since_s = now_s
                if other.event is None:
                    other.due_s = now_s + other.after_s


def _strike_of(index: int, step: FaultStep) -> Task:
    if step.on is None:
        return Task(act="strike", index=index, step=step, due_s=step.at_s)
    return Task(
        act="strike",
        index=index,
        step=step,
        since=index - 1,
        event=step.on,
        after_s=step.after_s,
    )


def _heal_of(index: int, step: FaultStep) -> Task | None:
    if step.heal_at_s is not None:
        return Task(act="heal", index=index, step=step, due_s=step.heal_at_s)
    if not step.has_own_heal:
        return None
    return Task(
        act="heal",
        index=index,
        step=step,
        since=index,
        event=step.heal_on,
        after_s=step.heal_after_s or 0.0,
    )
