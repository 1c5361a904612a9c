"""Power cut of a host: everything on it ends in one moment, later it comes back with its disk."""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import Stage
from cluster.substrate import Killable


class HostPowerCut:
    """Kill the host, link first; on heal switch it on and start what belongs on it."""

    needs: ClassVar[tuple[str, ...]] = ("kill-host",)
    lasts: ClassVar[bool] = True

    def __init__(self, *, host: str, process: str | None) -> None:
        self._host = host

    async def inject(self, stage: Stage) -> str:
        """Cut the power; returns once no process of the host is left."""
        await stage.able(Killable).kill_host(self._host)
        return "link down and every process dead in one moment"

    async def heal(self, stage: Stage) -> str:
        """Power on, link up, etcd and Patroni started as at boot."""
        await stage.able(Killable).start_host(self._host)
        started = await stage.cluster.start_services(self._host)
        return f"power on, started {', '.join(started)}"
