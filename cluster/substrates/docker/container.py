"""A container as a unit of a host: started, watched, ended.

Its start is ``docker start --attach``: one client a run, which copies the log and waits for the
end. A client can end before its container (the kernel was short of memory, the engine started
anew), so the engine is asked for the container's state; while it runs another client attaches.
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

from cluster.errors import EngineError, HostError
from cluster.substrates.base import ProcessExit
from cluster.substrates.docker import client as docker

START_TIMEOUT_S = 60.0
DEATH_TIMEOUT_S = 20.0
POLL_S = 0.05
ATTACH_AGAIN_S = 0.2
ENGINE_TIMEOUT_S = 15.0
"""An engine that starts anew answers after two to five seconds."""
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
        self, name: str, *, host: str, unit: str, log: Path, on_exit: Callable[[ProcessExit], None]
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
        self._is_abandoned = False

    @property
    def is_up(self) -> bool:
        """It was started and has not ended."""
        return not self._gone.is_set()

    async def start(
        self, tasks: anyio.abc.TaskGroup, stdin: str | None = None, *, ends_input: bool = False
    ) -> None:
        """Start it; returns when it runs, or has run already.

        Args:
            tasks: owns the task that stands by; that raises EngineError when the container's state
                can no longer be found out.
            stdin: what it finds on its standard input.
            ends_input: it finds the end there too. For a container that was made for it (``--attach
                stdin``): to others the client lets go of what they print, too.

        Raises:
            HostError: it runs already, or the engine did not start it; with the engine's words.
        """
        running, before = (await self._state("{{.State.Running}} {{.State.StartedAt}}")).split()
        # Its end may not have been told yet.
        if running == "true" or (self.is_up and not await self.is_gone()):
            raise HostError(f"{self.unit} runs already on {self.host}", host=self.host)
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
        tasks.start_soon(self._stand_by, client, before)
        if stdin is not None and client.stdin is not None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await client.stdin.send(stdin.encode())
                if ends_input:
                    await client.stdin.aclose()
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

    def stand_by(self, tasks: anyio.abc.TaskGroup) -> None:
        """Stand by one that runs already; what it has printed before is not in the log.

        Args:
            tasks: as of ``start``.
        """
        self.expected = False
        self._gone = anyio.Event()
        tasks.start_soon(self._stand_by, None, "")

    async def _stand_by(self, client: anyio.abc.Process | None, before: str) -> None:
        """Shielded: while a drill is being stopped its containers must still be seen to end.

        Args:
            client: the one that started it; None: another process has.
            before: when it was started the time before.
        """
        try:
            with anyio.CancelScope(shield=True):
                status, t_s = await self._follow(client, before)
        finally:
            self._gone.set()
        if self._is_abandoned:
            return
        self._status = -(status - SIGNALLED) if status > SIGNALLED else status
        self._on_exit(
            ProcessExit(
                host=self.host,
                unit=self.unit,
                status=self._status,
                expected=self.expected,
                t_s=t_s,
            )
        )

    async def _follow(self, client: anyio.abc.Process | None, before: str) -> tuple[int, float]:
        """Stay attached until it ends; its status, and when that was."""
        if client is None:
            client = await self._attach()
        while True:
            code = await client.wait()
            t_s = time.monotonic()
            status = await self._ended(code, before)
            if status is not None:
                return status, t_s
            await anyio.sleep(ATTACH_AGAIN_S)
            client = await self._attach()

    async def _ended(self, code: int, before: str) -> int | None:
        """With which status it ended; None while it runs.

        Args:
            code: its client's, which counts where the engine has no status: the container was never
                started, or is removed.
            before: when it was started the time before.

        Raises:
            EngineError: the engine does not answer.
        """
        end_s = time.monotonic() + ENGINE_TIMEOUT_S
        while not self._is_abandoned:
            form = "{{.State.Running}} {{.State.ExitCode}} {{.State.StartedAt}}"
            try:
                running, status, began = (await self._state(form)).split()
            except EngineError as error:
                if docker.is_missing(str(error)):
                    return code
                if time.monotonic() > end_s:
                    raise
                await anyio.sleep(ATTACH_AGAIN_S)
            else:
                if running == "true":
                    return None
                return int(status) if began != before else code
        return code

    async def _attach(self) -> anyio.abc.Process:
        """Another client. What the container printed in between is not in the log."""
        with self._log.open("ab") as log:
            client = await anyio.open_process(
                [docker.PROGRAM, "attach", "--no-stdin", "--sig-proxy=false", self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._client = client
        if self._is_abandoned:
            client.kill()
        return client

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
        """Stop standing by; the container's end is not reported."""
        self._is_abandoned = True
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
