"""A host of the lab, seen from the director: its init, its units, its death.

``LabHost`` owns one ``host_init.py`` at a time and is the only one that talks to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.abc

from cluster.errors import HostError
from cluster.substrates.base import HostProcess, Process, ProcessExit
from cluster.substrates.lab import host_init

START_TIMEOUT_S = 15.0
"""Namespaces and a bare interpreter: 0.1 s; more only on a machine that is badly overloaded."""
DEATH_TIMEOUT_S = 10.0
"""The kernel needs milliseconds to end a PID namespace."""


class LabHost:
    """One host: a network namespace that stays, and a PID namespace that lives and dies."""

    def __init__(
        self,
        name: str,
        *,
        disk: Path,
        logs: Path,
        on_exit: Callable[[ProcessExit], None],
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        self._environment = environment
        self._disk = disk
        self._logs = logs
        self._on_exit = on_exit
        self._process: anyio.abc.Process | None = None
        self._init: int | None = None  # a pidfd
        self._init_pid = 0
        self._going_down = False
        self._units: dict[str, _RunningUnit] = {}
        self._up = anyio.Event()
        self._heard_all = anyio.Event()
        self._asking = anyio.Lock()
        self._answer: anyio.Event = anyio.Event()
        self._answered: dict[str, object] = {}

    @property
    def is_up(self) -> bool:
        """Its init is running."""
        return self._process is not None and not self._going_down

    @property
    def init_pid(self) -> int:
        """The pid of its init, as this process knows it.

        Raises:
            HostError: the host is down.
        """
        if not self.is_up or self._init_pid == 0:
            raise HostError(f"host {self.name} is down", host=self.name)
        return self._init_pid

    @property
    def units(self) -> tuple[str, ...]:
        """The units that are running."""
        return tuple(name for name, unit in self._units.items() if not unit.gone.is_set())

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Power on. The task that reads the init's reports joins ``tasks``.

        Raises:
            HostError: the init did not come up.
        """
        self._going_down = False
        self._up, self._heard_all = anyio.Event(), anyio.Event()
        process = self._process = await anyio.open_process(
            self._command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        tasks.start_soon(self._listen, process)
        try:
            await self._come_up(process)
        except BaseException:  # half up, nothing could end it; the lab would wait for it for ever
            self._process = None
            with suppress(ProcessLookupError):
                process.kill()
            raise

    async def _come_up(self, process: anyio.abc.Process) -> None:
        with anyio.move_on_after(START_TIMEOUT_S):
            await self._up.wait()
        if not self._up.is_set() or process.returncode is not None:
            raise HostError(f"host {self.name} did not come up", host=self.name)
        self._init_pid = _only_child(process.pid)
        self._init = os.pidfd_open(self._init_pid)

    def _command(self) -> list[str]:
        """Enter the host's network, make its other namespaces, become its init.

        Mounts and System V objects of the host go with these namespaces, that is with its power.
        """
        return [
            *("nsenter", f"--net=/run/netns/{self.name}", "--"),
            *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"),
            *("--mount-proc", "--"),
            *(sys.executable, "-I", "-S", str(host_init.__file__), self.name),
        ]

    async def start_unit(self, unit: Process, *, ends: bool = False, as_root: bool = False) -> None:
        """Start a process on this host.

        Args:
            unit: what to run.
            ends: it is expected to end by itself.
            as_root: with the capabilities of the lab's root: a part of the machine, that mounts.

        Raises:
            HostError: the host is down, or its init refused.
        """
        # Known before it runs: its death may be reported before its start is.
        running = self._units[unit.name] = _RunningUnit()
        running.stopping = ends
        running.pid = await self._ask(
            op="start",
            unit=unit.name,
            argv=list(unit.argv),
            env={**self._base_environment(), **unit.env, **unit.secrets},
            log=str(self._logs / f"{self.name}.{unit.name}.log"),
            stdin=unit.stdin,
            is_fed=unit.is_fed,
            as_root=as_root,
        )

    async def feed_unit(self, name: str, text: str) -> None:
        """Give a process that was started with ``is_fed`` its standard input, all of it.

        Raises:
            HostError: it does not run, or was given it before; or the host is down.
        """
        await self._ask(op="feed", unit=name, stdin=text)

    async def run_unit(self, unit: Process) -> int:
        """Run a process to its end, which is expected of it; its exit status.

        Raises:
            HostError: as of ``start_unit``.
        """
        await self.start_unit(unit, ends=True)
        running = self._unit(unit.name)
        await running.gone.wait()
        return running.status

    async def halt_unit(self, name: str) -> None:
        """SIGKILL, as asked for; returns once the unit is gone, at once if it does not run."""
        if name not in self.units:
            return
        unit = self._unit(name)
        unit.stopping = True
        with suppress(HostError):  # it may end in this very moment
            await self.signal(unit.pid, signal.SIGKILL)
        with anyio.move_on_after(DEATH_TIMEOUT_S):
            await unit.gone.wait()
        if not unit.gone.is_set():
            raise HostError(f"{name} on {self.name} did not die", host=self.name)

    async def stop_unit(self, name: str, *, timeout_s: float) -> int:
        """SIGTERM, wait, SIGKILL; the exit status."""
        unit = self._unit(name)
        unit.stopping = True
        for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, DEATH_TIMEOUT_S)):
            if unit.gone.is_set():
                break
            with suppress(HostError):  # it may end in this very moment
                await self.signal(unit.pid, number)
            with anyio.move_on_after(patience_s):
                await unit.gone.wait()
        return unit.status

    async def wait_exit(self, name: str) -> int:
        """Wait until a unit ends by itself, which is expected of it; its exit status."""
        unit = self._unit(name)
        unit.stopping = True
        await unit.gone.wait()
        return unit.status

    def pid_of(self, name: str) -> int:
        """The pid of a unit that runs, as the host knows it.

        Raises:
            HostError: it does not run.
        """
        unit = self._unit(name)
        if unit.gone.is_set():
            raise HostError(f"{name} does not run on {self.name}", host=self.name)
        return unit.pid

    async def kill_unit(self, name: str) -> int:
        """SIGKILL, which is an end that was asked for; its pid.

        Raises:
            HostError: it does not run.
        """
        pid = self.pid_of(name)
        unit = self._unit(name)
        unit.stopping = True
        await self.signal(pid, signal.SIGKILL)
        with anyio.move_on_after(DEATH_TIMEOUT_S):
            await unit.gone.wait()
        return pid

    def _unit(self, name: str) -> _RunningUnit:
        if name not in self._units:
            raise HostError(f"no unit {name} on {self.name}", host=self.name)
        return self._units[name]

    async def signal(self, pid: int, number: int) -> None:
        """Signal a process, by the pid that the host knows; after SIGKILL it is gone.

        Raises:
            HostError: there is no such process, or the host is down.
        """
        await self._ask(op="signal", pid=pid, signal=number)

    async def signal_each(self, pids: Sequence[int], number: int) -> None:
        """Signal processes, by the pids that the host knows; the ended are passed over."""
        await self._ask(op="signal-each", pids=list(pids), signal=int(number))

    async def signal_all(self, number: int) -> None:
        """Signal every process of this host at once. Its init is not among them."""
        await self._ask(op="signal-all", signal=int(number))

    async def processes(self) -> tuple[HostProcess, ...]:
        """Every process of this host but its init."""
        found = (await self._answer_to(op="processes"))["processes"]
        assert isinstance(found, list)
        return tuple(HostProcess(**fields) for fields in found)

    def power_off(self) -> None:
        """End everything on the host in one moment. Returns at once; see ``wait_down``."""
        self._going_down = True
        if self._init is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)

    async def wait_down(self) -> None:
        """Wait until no process of the host is left.

        Raises:
            HostError: something survived ``DEATH_TIMEOUT_S``.
        """
        if self._init is None or self._process is None:
            return
        try:
            with anyio.fail_after(DEATH_TIMEOUT_S):
                # A PID namespace's init is reported dead only after all its processes are.
                await anyio.wait_readable(self._init)
                await self._process.wait()
                # What is still to be told of this life must not be taken for news of the next.
                await self._heard_all.wait()
        except TimeoutError as error:
            raise HostError(f"host {self.name} did not die", host=self.name) from error
        os.close(self._init)
        self._init = None
        self._process = None

    async def _ask(self, **request: object) -> int:
        """One question to the init, one answer: the pid it speaks of."""
        return int(str((await self._answer_to(**request))["pid"]))

    async def _answer_to(self, **request: object) -> Mapping[str, object]:
        """One question to the init, and its whole answer."""
        async with self._asking:
            if self._process is None or self._process.stdin is None or self._going_down:
                raise HostError(f"host {self.name} is down", host=self.name)
            self._answer, self._answered = anyio.Event(), {}
            try:
                with anyio.fail_after(START_TIMEOUT_S):
                    await self._process.stdin.send(json.dumps(request).encode() + b"\n")
                    await self._answer.wait()
            except (TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise HostError(f"host {self.name} does not answer", host=self.name) from error
            if self._answered.get("event") != "done":
                why = self._answered.get("error", "the host went down")
                what = request.get("unit", request.get("pid", ""))
                words = f"{request['op']} {what} on {self.name}: {why}"
                raise HostError(words, host=self.name)
            return self._answered

    def _base_environment(self) -> dict[str, str]:
        """What every unit needs of our own environment, and of its host's; nothing else of ours
        leaks into the lab.

        Temporary files go to the host's own disk: hosts that share a ``/tmp`` collide there, and
        what is in it would outlive the lab.
        """
        kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        fixed = {"LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "TMPDIR": str(self._disk)}
        return {**fixed, **environment, **self._environment}

    async def _listen(self, process: anyio.abc.Process) -> None:
        """Follow the init's reports until it ends, then its units' deaths with it.

        Shielded: while a drill is being stopped its hosts must still answer, to be healed. It ends
        with the init, and that ends with the lab at the latest.
        """
        with anyio.CancelScope(shield=True):
            await self._follow(process)

    async def _follow(self, process: anyio.abc.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        pending = b""
        try:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                async for chunk in process.stdout:
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        self._hear(json.loads(line))
            words = b"".join([chunk async for chunk in process.stderr]).decode(errors="replace")
            if words.strip():
                (self._logs / f"{self.name}.init.log").write_text(words)
        finally:  # the disk of the logs may be full
            self._up.set()
            self._answer.set()
            for unit in self.units:
                self._unit_gone(unit, -signal.SIGKILL)
            self._heard_all.set()
        await process.wait()

    def _hear(self, report: dict[str, object]) -> None:
        match report["event"]:
            case "up":
                self._up.set()
            case "exited":
                self._unit_gone(str(report["unit"]), int(str(report["status"])))
            case "done" | "refused":
                self._answered = report
                self._answer.set()

    def _unit_gone(self, name: str, status: int) -> None:
        unit = self._units[name]
        unit.status = status
        unit.gone.set()
        self._on_exit(
            ProcessExit(
                host=self.name,
                unit=name,
                status=status,
                expected=unit.stopping or self._going_down,
                t_s=time.monotonic(),
            )
        )


class _RunningUnit:
    """What is known of one process."""

    def __init__(self) -> None:
        self.pid = 0
        self.status = -signal.SIGKILL
        self.gone = anyio.Event()
        self.stopping = False


def _only_child(pid: int) -> int:
    """The one child of ``unshare --fork``: the host's init, by its pid in the lab."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
