"""Writes down what happens: every event to the run folder, and in words to the board."""

from __future__ import annotations

import time

import anyio

from chaos.drill.board import Board
from chaos.evidence.folder import EventLog
from chaos.evidence.records import Scalar
from cluster.substrate import UnitExit

TICK_INTERVAL_S = 1.0
"""A run that was killed ends at its last event; so it is known to a second how far it came."""


class Recorder:
    """The one way by which a drill's parts leave evidence."""

    def __init__(self, events: EventLog, board: Board) -> None:
        self.board = board
        self._events = events

    def event(self, kind: str, *, at_s: float | None = None, **fields: Scalar) -> None:
        """Only evidence, no words."""
        self._events.append(kind, at_s=at_s, **fields)

    def say(self, text: str, *, loud: bool = False) -> None:
        """Only words, no evidence."""
        self.board.note(time.monotonic(), text, loud=loud)

    def phase(self, name: str) -> None:
        """A new phase of the drill begins."""
        self.event("phase", phase=name)
        self.board.phase = name
        self.board.phase_since_s = time.monotonic()
        self.say(f"phase: {name}")

    async def tick(self) -> None:
        """Write down that the drill is still running, until cancelled."""
        while True:
            self.event("tick")
            await anyio.sleep(TICK_INTERVAL_S)

    def unit_exit(self, unit: UnitExit) -> None:
        """A process ended."""
        self.event(
            "child-exit",
            at_s=unit.t_s,
            host=unit.host,
            process=unit.unit,
            status=unit.status,
            expected=unit.expected,
        )
        if not unit.expected:
            self.say(f"{unit.unit} on {unit.host} died unexpectedly ({unit.status})", loud=True)
