"""The disk of one host, seen from the director: mounted at power on, broken, and proved broken."""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

from cluster.errors import ClusterError, HostError
from cluster.logs import log_tail
from cluster.substrates.base import Process
from cluster.substrates.disk import WAL_FOLDER, DiskFault, DiskFaultName
from cluster.substrates.lab.disk.control import ask, to_json
from cluster.substrates.lab.host import LabHost

UNIT = "disk"
DATA_FOLDER = "pgdata"
MOUNT_TIMEOUT_S = 20.0
"""An interpreter and a mount: 0.3 s; more only on a machine that is badly overloaded."""
POLL_S = 0.02
PROBE = "bascule-probe"
PROBE_BYTES = b"is it kept?"
PROBE_TIMEOUT_S = 60.0
"""On a disk that takes a second for each operation, of which others ask for some."""
REFUSALS = {
    "full": errno.ENOSPC,
    "read-only": errno.EROFS,
    "errors": errno.EIO,
}


class LayeredDisk:
    """One host's disk in user space.

    What is wrong with it stays so when its host loses its power, as with a real disk.

    Args:
        host: whose process serves it.
        folder: where the host sees it, and we what a power cut leaves.
        control: the path of its socket.
        logs: where its process writes its log.
    """

    def __init__(self, host: LabHost, *, folder: Path, control: Path, logs: Path) -> None:
        self._host = host
        self._folder = folder
        self._control = control
        self._log = logs / f"{host.name}.{UNIT}.log"
        self._faults: dict[DiskFaultName, DiskFault] = {}

    async def mount(self) -> None:
        """Mount it, in a host that has power and no other unit yet.

        Raises:
            HostError: it could not be mounted.
        """
        self._control.unlink(missing_ok=True)
        argv = (sys.executable, "-m", "cluster.substrates.lab.disk.mount")
        unit = Process(name=UNIT, argv=(*argv, str(self._folder), str(self._control)))
        await self._host.start_unit(unit, as_root=True)
        is_mounted = False
        with anyio.move_on_after(MOUNT_TIMEOUT_S):
            while not is_mounted and UNIT in self._host.units:
                await anyio.sleep(POLL_S)
                is_mounted = await self._is_mounted()
        if not is_mounted:
            words = f"the disk of {self._host.name} could not be mounted"
            raise HostError(f"{words}\n{log_tail(self._log)}", host=self._host.name)
        for fault in self._faults.values():
            await self._ask(do="strike", fault=to_json(fault))

    async def strike(self, fault: DiskFault) -> str:
        """Break it; the proof that it is broken, in words.

        Raises:
            HostError: it does not answer, or does as if nothing were wrong.
        """
        self._faults[fault.name] = fault
        answer = await self._ask(do="strike", fault=to_json(fault))
        if fault.name == "full" and fault.room_bytes > 0:
            return f"room for {answer['room_bytes']} bytes more"
        return await self._probe(fault)

    async def mend(self, name: DiskFaultName) -> str:
        """Put it right again, also while its host has no power.

        Raises:
            HostError: it does not answer.
        """
        self._faults.pop(name, None)
        if not self._host.is_up:
            return "the disk is in order when the power comes back"
        await self._ask(do="mend", name=name)
        if self._faults:
            return f"still {', '.join(self._faults)}"
        await self._try("read and write", lambda: self._write_and_read(self._probe_path(None)))
        return "a write was synced and read back"

    async def sync(self) -> None:
        """Put onto it everything that is only in memory.

        Raises:
            HostError: it does not answer.
        """
        await self._ask(do="sync")

    async def tear(self) -> str:
        """Tear a page of a table; which one.

        Raises:
            HostError: there is none that would stay torn; or it does not answer.
        """
        answer = await self._ask(do="tear", folder=f"/{DATA_FOLDER}")
        return f"{answer['torn']} has only its first half"

    async def _is_mounted(self) -> bool:
        with suppress(OSError):
            answer = await anyio.to_thread.run_sync(lambda: ask(self._control, do="look"))
            return bool(answer["mounted"])
        return False

    async def _ask(self, **request: object) -> dict[str, object]:
        name = self._host.name
        if not self._host.is_up:
            raise HostError(f"host {name} is down", host=name)
        try:
            return dict(await anyio.to_thread.run_sync(lambda: ask(self._control, **request)))
        except (OSError, ClusterError) as error:
            raise HostError(f"the disk of {name}: {error}", host=name) from error

    # ---- proofs: as the host sees the disk ----

    def _probe_path(self, fault: DiskFault | None) -> Path:
        """A file that only a probe uses, in the part of the disk that is broken."""
        parts = (DATA_FOLDER, WAL_FOLDER) if fault is not None and fault.where == "wal" else ()
        seen_by_host = Path(f"/proc/{self._host.init_pid}/root{self._folder}")
        return seen_by_host.joinpath(*parts, PROBE)

    async def _probe(self, fault: DiskFault) -> str:
        path = self._probe_path(fault)
        if fault.name in REFUSALS:
            words = await self._try(
                fault.name, lambda: self._refused(path, fault, REFUSALS[fault.name])
            )
        elif fault.name == "slow":
            words = await self._try(fault.name, lambda: self._slow(path, fault.delay_s))
        else:
            words = await self._try(fault.name, lambda: self._forgotten(path))
        return words

    async def _try(self, what: str, probe: object) -> str:
        """Run a probe in a thread: the disk may be slow, and this process must not wait."""
        name = self._host.name
        try:
            with anyio.fail_after(PROBE_TIMEOUT_S):
                return str(await anyio.to_thread.run_sync(probe, abandon_on_cancel=True))  # type: ignore[arg-type]
        except TimeoutError as error:
            raise HostError(f"the disk of {name} did not answer ({what})", host=name) from error
        except OSError as error:
            raise HostError(f"the disk of {name} ({what}): {error}", host=name) from error

    def _refused(self, path: Path, fault: DiskFault, number: int) -> str:
        try:
            self._write_and_read(path)
        except OSError as error:
            if error.errno == number:
                return f"a probe of the disk was refused: {error.strerror}"
            raise
        finally:
            with suppress(OSError):
                path.unlink()
        raise HostError(f"the disk takes everything in spite of {fault}", host=self._host.name)

    def _slow(self, path: Path, delay_s: float) -> str:
        begin_s = time.monotonic()
        self._write_and_read(path)
        took_s = time.monotonic() - begin_s
        if took_s < delay_s:
            raise HostError(f"a synced write took only {took_s:.3f} s", host=self._host.name)
        return f"a synced write took {took_s:.3f} s"

    def _forgotten(self, path: Path) -> str:
        """What was synced, as the host believes, is not on the disk."""
        kept = self._folder / path.name
        try:
            self._write(path)
            if kept.stat().st_size:
                raise HostError("a synced write was kept", host=self._host.name)
        finally:
            path.unlink()
        return "a synced write is not on the disk"

    def _write_and_read(self, path: Path) -> str:
        try:
            self._write(path)
            if path.read_bytes() != PROBE_BYTES:  # opened anew: not from the kernel's cache
                raise HostError("the disk gave back something else", host=self._host.name)
        finally:
            with suppress(OSError):
                path.unlink()
        return "it was kept"

    def _write(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, PROBE_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
