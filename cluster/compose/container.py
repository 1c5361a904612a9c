"""A container as a unit of a host: started, watched, ended.

Its start is ``docker start --attach``: one client a run, which brings the log, stands by until the
end, and ends with the container's own status, whoever ended it.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.abc

from cluster.compose import docker
from cluster.errors import EngineError, HostError
from cluster.substrate import UnitExit

START_TIMEOUT_S = 60.0
DEATH_TIMEOUT_S = 20.0
POLL_S = 0.05
SIGNALLED = 128
"""A shell's and an engine's way to say "ended by signal n": 128 + n."""


class Container:
    """One container that was created; it may run several times.

    Args:
        name: as the engine knows it.
        host: the host that it is, or runs on.
        unit: the name of its service.
        log: what it prints, of all its runs, one after another.
        on_exit: told of each end.
    """

    def __init__(
        self, name: str, *, host: str, unit: str, log: Path, on_exit: Callable[[UnitExit], None]
    ) -> None:
        self.name = name
        self.host = host
        self.unit = unit
        self.expected = False
        """Its end is wanted: it was asked for, or is waited for."""
        self._log = log
        self._on_exit = on_exit
        self._gone = anyio.Event()
        self._gone.set()
        self._status = 0
        self._client: anyio.abc.Process | None = None

    @property
    def is_up(self) -> bool:
        """It was started and has not ended."""
        return not self._gone.is_set()

    async def start(self, tasks: anyio.abc.TaskGroup, stdin: str | None = None) -> None:
        """Start it; returns when it runs, or has run already.

        Args:
            tasks: owns the task that stands by.
            stdin: what it finds on its standard input.

        Raises:
            HostError: it runs already, or the engine did not start it; with the engine's words.
        """
        if self.is_up:
            raise HostError(f"{self.unit} runs already on {self.host}", host=self.host)
        before = await self._state("{{.State.StartedAt}}")
        self.expected = False
        self._gone = anyio.Event()
        with self._log.open("ab") as log:
            size = log.tell()
            attach = ["--attach", *(["--interactive"] if stdin is not None else [])]
            client = await anyio.open_process(
                [docker.PROGRAM, "start", *attach, self.name],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self._client = client
        tasks.start_soon(self._stand_by, client)
        if stdin is not None and client.stdin is not None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await client.stdin.send(stdin.encode())
        with anyio.move_on_after(START_TIMEOUT_S):
            while self.is_up:
                running, began = (
                    await self._state("{{.State.Running}} {{.State.StartedAt}}")
                ).split()
                if running == "true" and began != before:
                    return
                await anyio.sleep(POLL_S)
        if await self._state("{{.State.StartedAt}}") == before:
            words = self._log.read_bytes()[size:].decode(errors="replace").strip()
            raise HostError(f"{self.unit} on {self.host} did not start: {words}", host=self.host)

    async def _stand_by(self, client: anyio.abc.Process) -> None:
        """Shielded: while a drill is being stopped its containers must still be seen to end."""
        with anyio.CancelScope(shield=True):
            code = await client.wait()
        self._status = -(code - SIGNALLED) if code > SIGNALLED else code
        self._gone.set()
        self._on_exit(
            UnitExit(
                host=self.host,
                unit=self.unit,
                status=self._status,
                expected=self.expected,
                t_s=time.monotonic(),
            )
        )

    async def kill(self, number: int) -> None:
        """Send a signal to its main process; no error when it has ended meanwhile."""
        try:
            await docker.run("kill", "--signal", str(int(number)), self.name)
        except EngineError as error:
            if "is not running" not in str(error):
                raise

    async def wait(self) -> int:
        """Wait until it ends; its exit status, or minus the signal."""
        await self._gone.wait()
        return self._status

    async def end(self, *, timeout_s: float) -> int:
        """SIGTERM, wait, SIGKILL; the exit status."""
        self.expected = True
        for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, DEATH_TIMEOUT_S)):
            if not self.is_up:
                break
            await self.kill(number)
            with anyio.move_on_after(patience_s):
                await self._gone.wait()
        return self._status

    async def cut_power(self) -> None:
        """SIGKILL; returns once nothing of it runs.

        Raises:
            HostError: it did not die.
        """
        self.expected = True
        await self.kill(signal.SIGKILL)
        if not await self.is_gone():
            raise HostError(f"host {self.host} did not die", host=self.host)

    async def is_gone(self) -> bool:
        """It ended, or does within ``DEATH_TIMEOUT_S``."""
        with anyio.move_on_after(DEATH_TIMEOUT_S):
            await self._gone.wait()
        return self._gone.is_set()

    def abandon(self) -> None:
        """Stand by no longer, whatever becomes of it."""
        if self._client is not None and self._client.returncode is None:
            self._client.kill()

    async def execute(self, script: str, *arguments: str) -> str:
        """Run a shell script beside its main process; what it printed.

        Raises:
            EngineError: the script failed, or the container does not run.
        """
        return await docker.run("exec", self.name, "sh", "-c", script, "sh", *arguments)

    async def _state(self, form: str) -> str:
        return (await docker.run("inspect", "--format", form, self.name)).strip()
