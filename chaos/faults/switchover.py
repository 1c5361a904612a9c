"""A planned switchover, as before maintenance: no fault, but the outage that one plans for."""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import Stage

TIMEOUT_S = 30.0
"""Patroni itself gives up after ``loop_wait`` + some seconds."""


class Switchover:
    """Ask Patroni to hand the primary role to another member."""

    needs: ClassVar[tuple[str, ...]] = ()
    lasts: ClassVar[bool] = False

    def __init__(self, *, host: str, process: str | None) -> None:
        self._host = host

    async def inject(self, stage: Stage) -> str:
        """Hand over; returns Patroni's words once the new primary has the role."""
        return await stage.cluster.switchover(self._host, timeout_s=TIMEOUT_S)

    async def heal(self, stage: Stage) -> str:
        """Nothing to undo."""
        return "nothing to undo"
