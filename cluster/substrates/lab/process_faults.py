"""What the lab does to the processes and the data of a host, beside cutting its power."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress

from cluster.errors import HostError
from cluster.substrates import crash_loop
from cluster.substrates.base import HostProcess, Process
from cluster.substrates.lab.host import LabHost
from cluster.substrates.lab.state import disk_of

END_TIMEOUT_S = 5.0


class LabProcessFaults:
    """A part of the lab: the abilities ProcessSteerable, CrashLoopable and Wipeable."""

    _hosts: Mapping[str, LabHost]

    def has_power(self, host: str) -> bool:
        """Its power was not cut."""
        return self._hosts[host].is_up

    async def processes(self, host: str) -> tuple[HostProcess, ...]:
        """Every process of the host but its init; none where it has no power."""
        return await self._hosts[host].processes() if self.has_power(host) else ()

    async def signal_processes(self, host: str, pids: Sequence[int], number: int) -> None:
        """Signal these processes; one that has ended meanwhile is passed over."""
        await self._hosts[host].signal_each(pids, number)

    async def signal_all_processes(self, host: str, number: int) -> None:
        """Signal every process of the host but its init, in one moment."""
        await self._hosts[host].signal_all(number)

    async def start_crash_loop(self, host: str, every_s: float, times: int | None) -> None:
        """Kill the postmaster, and each new one: a unit of the host does it."""
        record = disk_of(host) / crash_loop.KILLED
        record.unlink(missing_ok=True)
        limits = crash_loop.arguments(disk_of(host), every_s, times)
        argv = ("sh", "-c", crash_loop.SCRIPT, *limits)
        await self._hosts[host].start_unit(Process(name=crash_loop.UNIT, argv=argv))

    async def crashes(self, host: str) -> int:
        """How often the unit has killed since it was started."""
        with suppress(FileNotFoundError):
            record = disk_of(host) / crash_loop.KILLED
            return len(record.read_text(encoding="ascii").splitlines())
        return 0

    async def stop_crash_loop(self, host: str) -> None:
        """End the unit; no effect where there is none."""
        machine = self._hosts[host]
        if crash_loop.UNIT in machine.units:
            await machine.stop_unit(crash_loop.UNIT, timeout_s=END_TIMEOUT_S)

    async def wipe_data(self, host: str) -> None:
        """Delete PostgreSQL's data folder.

        Raises:
            HostError: the host has power, or the data could not be deleted.
        """
        if self.has_power(host):
            raise HostError(f"{host} has power: its data is in use", host=host)
        try:
            shutil.rmtree(disk_of(host) / "pgdata")
        except OSError as error:
            words = f"the data of PostgreSQL on {host} could not be deleted: {error}"
            raise HostError(words, host=host) from error
