"""One process of a host is killed with SIGKILL; whoever watches over it must bring it back."""

from __future__ import annotations

import signal
from typing import ClassVar

from chaos.faults.base import Stage
from cluster.substrate import ProcessKillable


class ProcessKill:
    """``kill -9`` of a process (``postgres``: the postmaster)."""

    needs: ClassVar[tuple[str, ...]] = ("kill-process",)
    lasts: ClassVar[bool] = False

    def __init__(self, *, host: str, process: str | None) -> None:
        self._host = host
        self._process = process or "postgres"

    async def inject(self, stage: Stage) -> str:
        """Kill it; returns once it is gone."""
        machine = stage.able(ProcessKillable)
        pid = await machine.kill_process(self._host, self._process, signal.SIGKILL)
        return f"kill -9 {pid} ({self._process})"

    async def heal(self, stage: Stage) -> str:
        """Nothing to undo: Patroni restarts PostgreSQL, that is what is being tested."""
        return "nothing to undo"
