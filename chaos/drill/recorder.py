"""Writes down what happens: every event to the run folder, and in words to the board."""

from __future__ import annotations

import time

import anyio

from chaos.evidence.events import EventLog, Phase, PhaseBegan, ProcessEnded, RunEvent, Tick
from chaos.live.board import Board
from cluster.substrates.base import ProcessExit

TICK_INTERVAL_S = 1.0
"""A run that was killed ends at its last event; so it is known to a second how far it came."""


class Recorder:
    """The one way by which a drill's parts leave evidence."""

    def __init__(self, events: EventLog, board: Board) -> None:
        self.board = board
        self._events = events

    def event(self, event: RunEvent) -> None:
        """Only evidence, no words."""
        self._events.append(event)

    def say(self, text: str, *, loud: bool = False) -> None:
        """Only words, no evidence."""
        self.board.note(time.monotonic(), text, loud=loud)

    def phase(self, phase: Phase) -> None:
        """A new phase of the drill begins."""
        now_s = time.monotonic()
        self.event(PhaseBegan(t_s=now_s, phase=phase))
        self.board.phase = phase
        self.board.phase_since_s = now_s
        self.say(f"phase: {phase}")

    async def tick(self) -> None:
        """Write down that the drill is still running, until cancelled."""
        while True:
            self.event(Tick(t_s=time.monotonic()))
            await anyio.sleep(TICK_INTERVAL_S)

    def unit_exit(self, unit: ProcessExit) -> None:
        """A process ended."""
        self.event(
            ProcessEnded(
                t_s=unit.t_s,
                host=unit.host,
                process=unit.unit,
                status=unit.status,
                expected=unit.expected,
            )
        )
        if not unit.expected:
            self.say(f"{unit.unit} on {unit.host} died unexpectedly ({unit.status})", loud=True)
