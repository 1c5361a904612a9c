"""What a cluster of containers is called; and which of those that are kept is whose at the moment.

A kept cluster is used by whoever holds the lock of its slot. So whoever cannot see that lock
(another user, machine, container or directory for temporary files) must not come to the same name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chaos.testing.errors import StartError
from cluster.processes import pid_namespace

SLOTS = 64
KEY_DIGITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What the things of a cluster are called, and whether they stay."""

    cluster: str
    kept: bool

    def of(self, thing: str) -> str:
        """The name of a container or a network."""
        return f"bascule-{self.cluster}-{thing}"


def new_name() -> Name:
    """A name that no cluster has had."""
    return Name(cluster=uuid.uuid4().hex[:10], kept=False)


def take_slot(kind: str, held: ExitStack) -> Name:
    """The first cluster of this kind that no process is using.

    Args:
        kind: clusters of the same kind may stand in for each other.
        held: it is this process's until this ends.

    Raises:
        StartError: all are in use, or their locks cannot be made; says which.
    """
    folder = Path(tempfile.gettempdir()).resolve()
    key = _key(kind, folder)
    refusals = []
    for slot in range(SLOTS):
        path = folder / f"bascule-{os.getuid()}-{key}-{slot}.lock"
        try:
            # Not through a link: anybody may put one there who guesses the name.
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            refusals.append(str(error))
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        held.callback(os.close, lock)
        return Name(cluster=f"{key}-{slot}", kept=True)
    if refusals:
        raise StartError(f"reuse=True needs a lock, which cannot be made: {refusals[0]}")
    raise StartError(f"{SLOTS} clusters of this kind are in use on this machine")


def _key(kind: str, folder: Path) -> str:
    """The same for all who see the same locks, and only for them.

    The folder's number beside its path: a service may have a ``/tmp`` of its own.
    """
    who = [os.getuid(), socket.gethostname(), pid_namespace(), folder, folder.stat().st_ino]
    seed = "\0".join([kind, *(str(part) for part in who)])
    return hashlib.sha256(seed.encode()).hexdigest()[:KEY_DIGITS]
