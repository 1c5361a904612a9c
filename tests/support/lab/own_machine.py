"""A machine of a test's own, as far as something can be left behind: a look at all of it.

Mount, IPC and network namespaces, with ``/dev/shm``, ``/run`` and ``/tmp`` of its own: whatever is
there after a command was left by that command, and by nobody else's. It works as an ordinary user
too, like the lab.

``python -m support.lab.own_machine`` prints the look, from inside.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[2]
CGROUPS = Path("/sys/fs/cgroup")
OF_DOCKER = re.compile(r"docker(/|$)|.*[0-9a-f]{64}")
"""A cgroup below the own one, of a container or of an image's build: those come and go with
anybody's."""
MOUNT_OF_DOCKER = re.compile(
    r".*/(overlay2/[0-9a-z]{25,64}|netns/[0-9a-f]{12}|containers/[0-9a-f]{64}|buildkit/executor)(/|$)"
)
"""A mount of a container, or of an image's build, of the real machine: it goes here too when the
engine ends it."""
LISTENING = "0A"
"""proc(5), ``/proc/net/tcp``: the state TCP_LISTEN."""

SET_UP = """
set -e
test -e /dev/shm
number=3
for folder in "$@"; do
    eval "exec $number<\\$folder"
    number=$((number + 1))
done
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
number=3
for folder in "$@"; do
    mkdir -p "$folder"
    mount --no-canonicalize --bind "/proc/self/fd/$number" "$folder"
    eval "exec $number<&-"
    number=$((number + 1))
done
ip link set lo up
echo up
exec cat
"""
"""Its arguments: folders below ``/tmp`` that stay visible. It ends with its standard input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a command can leave behind on a machine."""

    temporary: list[str]
    shared_memory: list[str]
    system_v: list[str]
    """Shared memory, semaphores and message queues: ``<kind> <id>``."""
    mounts: list[str]
    namespaces: list[str]
    interfaces: list[str]
    sockets: list[str]
    """Unix sockets, and ports on which somebody listens."""
    cgroups: list[str]


class OwnMachine:
    """Runs commands in the namespaces of a process that does nothing but hold them."""

    def __init__(self, holder: int, temporary: Path) -> None:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self._temporary = temporary
        self.enter = ("nsenter", f"--target={holder}", *user, "--mount", "--ipc", "--net", "--")
        """Before a command: it is run there, and keeps its pid."""

    def surroundings(self) -> Surroundings:
        """As they are now."""
        done = subprocess.run(
            [*self.enter, sys.executable, "-m", "support.lab.own_machine", str(self._temporary)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            check=True,
        )
        return Surroundings(**json.loads(done.stdout))


@contextmanager
def own_machine(folder: Path, temporary: Path) -> Iterator[OwnMachine]:
    """Make one, and end it.

    Args:
        folder: it sees that of the real machine, even if it is in ``/tmp``.
        temporary: where those who heed TMPDIR put their files.
    """
    needed = (folder, TESTS.parent, Path(sys.prefix), Path(sys.base_prefix))
    kept = [str(path) for path in needed if path.is_relative_to("/tmp")]
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    holder = subprocess.Popen(
        ["unshare", *user, "--mount", "--ipc", "--net", "--", "sh", "-c", SET_UP, "sh", *kept],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:  # leaving closes its standard input, and waits
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield OwnMachine(holder.pid, temporary)


def look(temporary: Path) -> dict[str, list[str]]:
    """The fields of ``Surroundings``, seen from this process."""
    return {
        "temporary": [*_names(temporary), *_names("/tmp")],
        "shared_memory": _names("/dev/shm"),
        "system_v": [
            f"{kind} {line.split()[1]}"
            for kind in ("shm", "sem", "msg")
            for line in _lines(f"/proc/sysvipc/{kind}")[1:]
        ],
        "mounts": [
            path
            for path in (line.split()[1] for line in _lines("/proc/self/mounts"))
            if not MOUNT_OF_DOCKER.match(path)
        ],
        "namespaces": _names("/run/netns"),
        "interfaces": [line.split(":")[0].strip() for line in _lines("/proc/self/net/dev")[2:]],
        "sockets": [*_unix_sockets(), *_ports()],
        "cgroups": sorted(_cgroups()),
    }


def _names(folder: Path | str) -> list[str]:
    return sorted(os.listdir(folder)) if Path(folder).exists() else []


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()


def _unix_sockets() -> list[str]:
    return [" ".join(line.split()[6:]) for line in _lines("/proc/self/net/unix")[1:]]


def _ports() -> list[str]:
    lines = [line.split() for line in _lines("/proc/self/net/tcp")[1:]]
    return [fields[1] for fields in lines if fields[3] == LISTENING]


def _cgroups() -> Iterator[str]:
    """Every cgroup below the own one, in every hierarchy: whoever is not told to makes none
    elsewhere (cgroups(7))."""
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        mixed = CGROUPS / (controllers.removeprefix("name=") or "unified")
        root = mixed if mixed.exists() else CGROUPS
        own = root / path.lstrip("/")
        for folder, _, _ in os.walk(own):
            if not OF_DOCKER.match(os.path.relpath(folder, own)):
                yield folder


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]))))
