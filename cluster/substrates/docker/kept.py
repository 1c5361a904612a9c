"""Clusters that are kept to be used again: who uses each at the moment, and what is known of it.

A kept cluster is used by the process that holds the lock of its slot. So a process that cannot see
that lock (another user, machine, container or directory for temporary files) must not come to the
same name. The locked file has what the engine does not tell: the cluster's passwords, and the block
of its addresses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from cluster.errors import EngineError
from cluster.patroni.config import Passwords
from cluster.substrates.owner import pid_namespace

SLOTS = 64
KEY_DIGITS = 10
FILE_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a cluster that was left up."""

    block: IPv4Network
    credentials: Passwords


class KeptSlot:
    """A place for a kept cluster, which this process alone may use.

    Args:
        run: what the cluster in it is called.
        descriptor: of the locked file.
    """

    def __init__(self, run: str, descriptor: int) -> None:
        self.run = run
        self._descriptor = descriptor

    def read(self) -> Known | None:
        """What an earlier process wrote; None if there is nothing that can be used."""
        found = os.pread(self._descriptor, FILE_BYTES_MAX, 0)
        try:
            document = json.loads(found)
            return Known(
                block=IPv4Network(document["block"]),
                credentials=Passwords(**document["credentials"]),
            )
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, known: Known) -> None:
        """Write it down for the next process."""
        document = {"block": str(known.block), "credentials": asdict(known.credentials)}
        self.clear()
        os.pwrite(self._descriptor, json.dumps(document).encode(), 0)

    def clear(self) -> None:
        """Forget what is known."""
        os.ftruncate(self._descriptor, 0)


def take_slot(kind: str, held: ExitStack) -> KeptSlot:
    """The first slot of this kind that no process is using.

    Args:
        kind: clusters of the same kind may stand in for each other.
        held: it is this process's until this ends.

    Raises:
        EngineError: all are in use, or their locks cannot be made; says which.
    """
    folder = Path(tempfile.gettempdir()).resolve()
    key = _key(kind, folder)
    refusals = []
    for number in range(SLOTS):
        path = folder / f"bascule-{os.getuid()}-{key}-{number}.lock"
        try:
            # Not through a link: any user who guesses the name may put one there.
            lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            refusals.append(str(error))
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(lock, 0o600)  # refused where the file is another user's
        except OSError:
            os.close(lock)
            continue
        held.callback(os.close, lock)
        return KeptSlot(f"{key}-{number}", lock)
    if refusals:
        raise EngineError(f"reuse=True needs a lock, which cannot be made: {refusals[0]}")
    raise EngineError(f"{SLOTS} clusters of this kind are in use on this machine")


def _key(kind: str, folder: Path) -> str:
    """The same for all processes that see the same locks, and only for them.

    The folder's number beside its path: a service may have a ``/tmp`` of its own.
    """
    who = [os.getuid(), socket.gethostname(), pid_namespace(), folder, folder.stat().st_ino]
    seed = "\0".join([kind, *(str(part) for part in who)])
    return hashlib.sha256(seed.encode()).hexdigest()[:KEY_DIGITS]
