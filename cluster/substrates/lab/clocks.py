"""The wall clocks of hosts whose ``clock`` is ``settable``: by how much they are wrong, in a file.

The kernel has one wall clock for all of the machine (its time namespaces move only the clocks that
count: time_namespaces(7)). So each program is told another time by itself:

- **PostgreSQL** by libfaketime, a library that is loaded before the C library and reads the file
  (``FAKETIME_TIMESTAMP_FILE``) whenever it is asked for the time and last did so over a second ago:
  it compares whole seconds, so that every process that looks at the clock follows within two.
- **Patroni** by ``cluster.patroni.wall_clock``, which reads the same file. libfaketime would not
  do: Python's ``time.sleep`` fails under it (version 0.9.10, Python 3.11).
- **etcd** not at all: a program in Go asks the kernel, and no C library. Its leases and elections
  count by the clock that only counts, which nobody sets.

CLOCK_MONOTONIC stays right, as it does where NTP or an operator sets the time (clock_gettime(2)).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anyio
import anyio.abc

from cluster.errors import HostError, PrerequisiteError
from cluster.patroni.daemon import CLOCK_VARIABLE
from cluster.patroni.wall_clock import PRELOAD_VARIABLE
from cluster.substrates.base import ClockShift
from cluster.substrates.lab.state import STATE
from cluster.topology.model import Topology

LIBRARY = "libfaketimeMT.so.1"
"""Built so that a signal that comes while it looks at the file cannot make it wait for itself."""
FOLDERS = (
    "/usr/lib/*/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
)
"""Debian and Ubuntu, Fedora, Arch, and where ``make install`` puts it."""
TICK_S = 0.1
"""How often the file of a clock that drifts is written: at a rate of 10 % it is right to 10 ms."""

SETTINGS: Mapping[str, str] = {
    "FAKETIME_CACHE_DURATION": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_ONLY_CMDS": "postgres",
    "NO_FAKE_STAT": "1",
}
"""Of libfaketime (its README, 4e and 4f): the times of files stay as they are, and so does the time
of what PostgreSQL and Patroni run besides, such as Patroni's children in Python."""


def check_clocks(topology: Topology) -> None:
    """Whether this machine can put the clocks of a topology wrong.

    Raises:
        PrerequisiteError: a host has a settable clock, and libfaketime is missing; with the remedy.
    """
    if topology.has_settable_clocks and (why := missing()):
        raise PrerequisiteError(f"a settable clock needs what this machine does not have: {why}")


def missing() -> str | None:
    """What this machine lacks for settable clocks, with the remedy; None if nothing."""
    if found_library() is None:
        return "libfaketime is not installed.\n  Debian, Ubuntu:  sudo apt-get install libfaketime"
    return None


def found_library() -> Path | None:
    """The library that will be used."""
    root = Path("/")
    found = (path for folder in FOLDERS for path in sorted(root.glob(f"{folder[1:]}/{LIBRARY}")))
    return next(found, None)


class LabClocks:
    """Of one lab.

    Args:
        topology: says which hosts have settable clocks.
        folder: gets their files.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        folder: Path = STATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settable = [host.name for host in topology.hosts if host.clock == "settable"]
        self._files = {host: folder / f"{host}.clock" for host in settable}
        self._shifts: dict[str, list[tuple[ClockShift, float]]] = {host: [] for host in settable}
        self._clock = clock
        self._drifting = anyio.Event()
        self._scope = anyio.CancelScope()

    def open(self, tasks: anyio.abc.TaskGroup) -> None:
        """Write the files, all right; the task that lets clocks drift joins ``tasks``."""
        for host in self._files:
            self._write(host)
        tasks.start_soon(self._drift)

    def close(self) -> None:
        """End that task: the hosts end now."""
        self._scope.cancel()

    def environment(self, host: str) -> Mapping[str, str]:
        """What tells the processes of a host about its clock; empty where it is the machine's."""
        if host not in self._files:
            return {}
        file = str(self._files[host])
        own = {CLOCK_VARIABLE: file, PRELOAD_VARIABLE: str(found_library())}
        return {**SETTINGS, "FAKETIME_TIMESTAMP_FILE": file, **own}

    def shift(self, host: str, shift: ClockShift) -> None:
        """Put it wrong from now on, besides what is wrong with it.

        Raises:
            HostError: it has the machine's clock.
        """
        self._of(host).append((shift, self._clock()))
        self._write(host)
        if shift.rate:
            self._drifting.set()

    def restore(self, host: str, shift: ClockShift) -> None:
        """Take that away again; no effect where it is not.

        Raises:
            HostError: it has the machine's clock.
        """
        shifts = self._of(host)
        self._shifts[host] = [one for one in shifts if one[0] != shift]
        self._write(host)

    def offset_s(self, host: str) -> float:
        """By how much it is ahead now.

        Raises:
            HostError: it has the machine's clock.
        """
        return offset_s(self._of(host), self._clock())

    def _of(self, host: str) -> list[tuple[ClockShift, float]]:
        if host not in self._shifts:
            words = f'the clock of {host} cannot be set: in the topology it is not "settable"'
            raise HostError(words, host=host)
        return self._shifts[host]

    async def _drift(self) -> None:
        """Write the files of clocks that drift, again and again."""
        with self._scope:
            while True:
                drifting = [h for h, found in self._shifts.items() if any(s.rate for s, _ in found)]
                if not drifting:
                    self._drifting = anyio.Event()
                    await self._drifting.wait()
                for host in drifting:
                    self._write(host)
                await anyio.sleep(TICK_S)

    def _write(self, host: str) -> None:
        """Put a whole file in place of the old one: a reader sees one or the other."""
        file = self._files[host]
        new = file.with_suffix(".new")
        new.write_text(f"{self.offset_s(host):+.6f}\n", encoding="ascii")
        new.replace(file)


def offset_s(shifts: Iterable[tuple[ClockShift, float]], now_s: float) -> float:
    """By how much a clock is ahead with these shifts, each since its moment. Pure."""
    return sum(shift.step_s + shift.rate * (now_s - since_s) for shift, since_s in shifts)
