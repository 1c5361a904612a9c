"""The labs that are up on this machine, by name: a folder each, locked for as long as it lives.

The folder is private, and has the control socket, what was asked for, and what the supervisor
said. The lock is on the folder itself (flock(2)), and every process of the lab holds it: while it
is taken the lab is up, and where it is free the supervisor died and has left the folder behind.
Whoever finds such a folder removes it, and says so.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from chaos.drill.launch import LAB_PID
from chaos.errors import ChaosError
from chaos.gameday import channel
from chaos.gameday.errors import LabDiedError
from chaos.gameday.plan import LabPlan, read_plan
from chaos.gameday.requests import Request
from cluster.errors import ClusterError
from cluster.substrates.kind import Say
from cluster.substrates.owner import read_start
from cluster.substrates.registry import SUBSTRATES
from cluster.toml.reader import NAME, NAME_RULE

T = TypeVar("T")

DEFAULT_NAME = "lab"
PREFIX = "bascule-up-"
PID = "supervisor.pid"
LOG = "supervisor.log"
ACT_TIMEOUT_S = 600.0
"""For what is done to a lab. Each fault has a limit of its own, far below this one."""
LOOK_TIMEOUT_S = 10.0


class LabNameError(ChaosError):
    """There is no lab of that name, or there is one already."""


def folder_of(name: str) -> Path:
    """Where a lab of this user has its folder."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{os.getuid()}-{name}"


def check_name(name: str) -> str:
    """The name, if it is one.

    Raises:
        LabNameError: it is not.
    """
    if not re.fullmatch(NAME, name):
        raise LabNameError(f"{name!r} is no name for a lab; expected {NAME_RULE}")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingLab:
    """A lab that is up, as another command finds it."""

    name: str
    folder: Path
    plan: LabPlan
    pid: int
    """Of its supervisor."""

    @property
    def run(self) -> Path:
        """Its run folder."""
        return Path(self.plan.run)

    @property
    def is_ending(self) -> bool:
        """Its supervisor has ended, and with that the lab ends."""
        return not read_start(self.pid)

    def ask(self, request: Request, answer: type[T], *, timeout_s: float = ACT_TIMEOUT_S) -> T:
        """Ask the process that has its sites.

        Raises:
            ClusterInTestsError: it could not do it; says why.
        """
        return channel.ask(self.folder, request, answer, timeout_s=timeout_s)

    def wait_over(self) -> None:
        """Until no process of it is left, however long that takes."""
        with suppress(FileNotFoundError):
            descriptor = _open(self.folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            finally:
                os.close(descriptor)


class LabFolder:
    """The folder of a lab that is being made; nobody else can make one of that name.

    Attributes:
        lock_fd: holds the lock, and is inherited by every process of the lab.
    """

    def __init__(self, name: str, folder: Path, lock_fd: int) -> None:
        self.name = name
        self.folder = folder
        self.lock_fd = lock_fd

    def write_pid(self, pid: int) -> None:
        """Write down who supervises it."""
        (self.folder / PID).write_text(f"{pid}\n", encoding="ascii")

    def close(self) -> None:
        """Let go of it: whoever inherited the lock has it."""
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def remove(self) -> None:
        """There is no lab of that name any more. Idempotent."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


def claim(name: str, say: Say) -> LabFolder:
    """Take a name for a new lab; what a dead one has left under it is removed, and ``say`` told.

    Raises:
        LabNameError: a lab of that name is up.
    """
    folder = folder_of(check_name(name))
    while True:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            try:
                found = find(name)
            except LabDiedError as error:
                say(str(error))
            except LabNameError:
                pass  # it has gone meanwhile
            else:
                if found.is_ending:
                    say(f"the supervisor of lab {name} has died: waiting until its sites have gone")
                    found.wait_over()
                    continue
                raise LabNameError(
                    f"lab {name} is up already, since {found.plan.started_at}: bascule status "
                    f"{name} shows it, bascule down {name} ends it; or choose another name for "
                    "this one: bascule up NAME"
                ) from None
            continue
        with suppress(FileNotFoundError):  # it may have been swept before it was locked
            descriptor = _open(folder)
            if _lock(descriptor) and os.path.samestat(os.fstat(descriptor), folder.stat()):
                return LabFolder(name, folder, descriptor)
            os.close(descriptor)


def find(name: str) -> LivingLab:
    """The lab of that name.

    Raises:
        LabNameError: none is up.
        LabDiedError: its supervisor has died; what it left has been removed.
    """
    folder = folder_of(check_name(name))
    try:
        descriptor = _open(folder)
    except FileNotFoundError:
        raise LabNameError(_none_of(name)) from None
    try:
        plan = read_plan(folder)
        if _lock(descriptor):
            _remove(folder, plan)
            raise LabDiedError(name, None if plan is None else Path(plan.run))
    finally:
        os.close(descriptor)
    pid = _read_pid(folder)
    if plan is None or pid is None:
        raise LabNameError(f"lab {name} is only just being made: try again in a moment")
    return LivingLab(name=name, folder=folder, plan=plan, pid=pid)


def names() -> list[str]:
    """The names of this user's labs, also of those whose supervisor has died."""
    prefix = f"{PREFIX}{os.getuid()}-"
    found = Path(tempfile.gettempdir()).glob(f"{prefix}*")
    return sorted(path.name.removeprefix(prefix) for path in found if path.is_dir())


def living(say: Say) -> Iterator[LivingLab]:
    """All labs that are up; of one whose supervisor has died, ``say`` is told."""
    for name in names():
        try:
            yield find(name)
        except LabDiedError as error:
            say(str(error))
        except LabNameError:  # it has gone meanwhile, or is not there yet
            continue


def the_one(name: str | None, say: Say) -> LivingLab:
    """The lab that a command means: that of the name, else the only one.

    Raises:
        LabNameError: there is none, or none was named and there are several.
        LabDiedError: its supervisor has died.
    """
    if name is not None:
        return find(name)
    known = names()
    if len(known) == 1:
        return find(known[0])
    found = list(living(say))
    if not found:
        raise LabNameError("no lab is up: bascule up raises one")
    if len(found) > 1:
        listed = ", ".join(one.name for one in found)
        raise LabNameError(f"several labs are up: say which one ({listed})")
    return found[0]


def _none_of(name: str) -> str:
    others = [one for one in names() if one != name]
    up = f"; up are {', '.join(others)}" if others else ""
    return f"no lab {name} is up{up} (bascule up {name} raises it)"


def _open(folder: Path) -> int:
    """A descriptor of a lab's folder.

    Raises:
        LabNameError: it belongs to somebody else, who could read what is sent there.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if os.fstat(descriptor).st_uid != os.getuid():
        os.close(descriptor)
        raise LabNameError(f"{folder} belongs to another user: it is not used")
    return descriptor


def _lock(descriptor: int) -> bool:
    """Whether the lock was free; it is ours then."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(folder: Path, plan: LabPlan | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if plan is not None:
        (Path(plan.run) / LAB_PID).unlink(missing_ok=True)
        if plan.substrate in SUBSTRATES:
            with suppress(ClusterError):  # the engine does not answer: the next drill there does it
                SUBSTRATES[plan.substrate].remove_left(lambda words: None)


def _read_pid(folder: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int((folder / PID).read_text(encoding="ascii"))
    return None
