"""The book of what is broken: the one place that strikes, undoes, and knows what is left to undo.

The schedule of a drill, a cluster in tests and the marker ``survives`` hold one each. A fault that
lasts is in the book from before it strikes until it has been undone, so that a half-done fault is
healed too.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from chaos.errors import ChaosError
from chaos.faults.base import Effect, FaultKind, FaultParams, Stage
from chaos.faults.targets import Victim
from cluster.errors import ClusterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stroke:
    """One fault at one victim. The same fault may strike the same victim again: that is another."""

    kind: FaultKind[Any]
    victim: Victim
    params: FaultParams

    @property
    def effect(self) -> Effect:
        """What it does to the cluster."""
        return self.kind.effect(self.params)

    @property
    def stays(self) -> bool:
        """It is there until it is undone."""
        return self.kind.stays(self.params)

    @property
    def ends_processes(self) -> bool:
        """Undoing it starts processes of its hosts again."""
        return self.effect == "power-off" or self.kind.lasts_with(self.params)

    def __str__(self) -> str:
        return f"{self.kind.key} on {self.victim.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What came of the attempt to undo a stroke, begun at ``begin_s`` (monotonic)."""

    stroke: Stroke
    begin_s: float
    detail: str = ""
    error: Exception | None = None
    """Why it is still in the book; None: it is undone, as ``detail`` says."""


class Book:
    """What is broken now."""

    def __init__(self) -> None:
        self._strokes: list[Stroke] = []

    @property
    def broken(self) -> tuple[Stroke, ...]:
        """What lasts and was not undone, the oldest first."""
        return tuple(self._strokes)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that something in the book keeps struck."""
        return frozenset(host for stroke in self._strokes for host in stroke.victim.hosts)

    @property
    def dark_hosts(self) -> frozenset[str]:
        """The hosts without power."""
        return frozenset(
            host
            for stroke in self._strokes
            if stroke.effect == "power-off"
            for host in stroke.victim.hosts
        )

    def of(self, fault: str, victim: str) -> tuple[Stroke, ...]:
        """What is broken by this fault at this victim."""
        return tuple(
            one for one in self._strokes if (one.kind.key, one.victim.name) == (fault, victim)
        )

    def note(self, stroke: Stroke) -> None:
        """Enter a fault that strikes now, if it lasts."""
        if stroke.stays:
            self._strokes.append(stroke)

    def cross_out(self, stroke: Stroke) -> None:
        """Remove a fault that was undone."""
        if stroke in self._strokes:
            self._strokes.remove(stroke)

    async def strike(self, stage: Stage, stroke: Stroke) -> str:
        """Strike; what was done, in words.

        Args:
            stage: where. Its ``struck`` are the hosts that are struck in the same moment; those in
                the book join them.
            stroke: what strikes whom.

        Raises:
            ClusterError, ChaosError: it could not be brought about; what lasts is in the book.
        """
        self.note(stroke)
        others = (stage.struck | self.hosts) - frozenset(stroke.victim.hosts)
        stage = replace(stage, struck=others)
        return await stroke.kind.strike(stage, stroke.victim, stroke.params)

    async def undo(self, stage: Stage, stroke: Stroke) -> str:
        """Undo one stroke; what was done, in words.

        Raises:
            ClusterError, ChaosError: it could not be; it stays in the book.
        """
        detail = await stroke.kind.undo(stage, stroke.victim, stroke.params)
        self.cross_out(stroke)
        return detail

    async def heal(
        self, stage: Stage, strokes: Iterable[Stroke] | None = None
    ) -> AsyncIterator[Undoing]:
        """Undo one after another, and go on where one cannot be undone.

        Args:
            stage: where they struck.
            strokes: which; None: everything in the book, the newest first.
        """
        for stroke in list(reversed(self._strokes)) if strokes is None else list(strokes):
            begin_s = time.monotonic()
            try:
                detail = await self.undo(stage, stroke)
            except (ChaosError, ClusterError, OSError, ExceptionGroup) as error:
                yield Undoing(stroke=stroke, begin_s=begin_s, error=error)
            else:
                yield Undoing(stroke=stroke, begin_s=begin_s, detail=detail)
