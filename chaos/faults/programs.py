"""The programs of a cluster among the processes of a host: which are whose, and what they do now.

A program is found by what its processes say of themselves, not by a pid that was kept: so a fault
can be undone after the program, or its whole host, was started anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Literal, get_args

import anyio

from cluster.errors import ClusterError, HostError
from cluster.substrates.base import HostProcess, ProcessKillable, ProcessSteerable
from cluster.topology.model import HostRole, Topology

HostProgram = Literal["postgres", "patroni", "etcd", "haproxy", "pgbouncer"]
PROGRAMS: tuple[HostProgram, ...] = get_args(HostProgram)
NAMES: Mapping[HostProgram, str] = {
    "postgres": "PostgreSQL",
    "patroni": "Patroni",
    "etcd": "etcd",
    "haproxy": "HAProxy",
    "pgbouncer": "PgBouncer",
}
"""As people write them."""
ROLES: Mapping[HostProgram, HostRole] = {
    "postgres": "postgres",
    "patroni": "postgres",
    "etcd": "etcd",
    "haproxy": "haproxy",
    "pgbouncer": "pgbouncer",
}
"""The role of the hosts that have it."""

POLL_S = 0.02
EFFECT_TIMEOUT_S = 10.0
"""A signal takes effect in milliseconds, unless the machine is badly overloaded."""
NO_POWER = "the host has no power: it begins anew with its power"

_BACKEND = re.compile(
    r"postgres: (?:(?P<cluster>\S+): )?(?P<user>\S+) (?P<dbname>\S+) (?P<client>\S+\(\d+\))(?: |$)"
)
"""The title of a process that serves a client of the network (PostgreSQL manual, 27.1)."""
_NO_CLIENTS = ("walsender",)
"""What stands for the user in the title of a replica's sender."""


def is_of(program: HostProgram, process: HostProcess) -> bool:
    """Whether a process of a host belongs to a program."""
    words = process.command.split()
    first = PurePath(words[0]).name if words else ""
    if program == "postgres":
        return first == "postgres" or process.command.startswith("postgres:")
    if program != "patroni":
        return first == program
    return any(word.endswith(("patroni.daemon", "patroni/daemon.py")) for word in words)


def processes_of(program: HostProgram, found: Sequence[HostProcess]) -> tuple[HostProcess, ...]:
    """The processes of a program among those of its host."""
    return tuple(process for process in found if is_of(program, process))


def client_backends(found: Sequence[HostProcess]) -> tuple[HostProcess, ...]:
    """The processes of PostgreSQL that each serve a client of the network; replicas and Patroni's
    own connections, which come over the host's Unix socket, are none. In the order of their pids.
    """
    matches = ((process, _BACKEND.match(process.command)) for process in found)
    backends = [one for one, match in matches if match and match["user"] not in _NO_CLIENTS]
    return tuple(sorted(backends, key=lambda process: process.pid))


async def runs(machine: ProcessKillable, host: str, program: HostProgram) -> bool:
    """Whether a program runs on a host: signal 0 finds it (kill(2))."""
    try:
        await machine.kill_process(host, program, 0)
    except HostError:
        return False
    return True


async def wait_processes(
    machine: ProcessSteerable,
    host: str,
    what: str,
    is_so: Callable[[tuple[HostProcess, ...]], bool],
) -> tuple[HostProcess, ...]:
    """Look at the processes of a host until something holds; the last look.

    Args:
        machine: has the host.
        host: whose processes.
        what: what is waited for, as the end of "not seen on db-paris: ".
        is_so: whether it holds.

    Raises:
        ClusterError: not within ``EFFECT_TIMEOUT_S``.
    """
    with anyio.move_on_after(EFFECT_TIMEOUT_S):
        while not is_so(found := await machine.processes(host)):
            await anyio.sleep(POLL_S)
        return found
    raise ClusterError(f"not seen on {host} in {EFFECT_TIMEOUT_S:g} s: {what}", host=host)


def hosts_without(program: HostProgram, topology: Topology, hosts: Sequence[str]) -> list[str]:
    """Those of the hosts on which a program does not run."""
    having = {host.name for host in topology.hosts_with(ROLES[program])}
    return [host for host in hosts if host not in having]


def nothing_there(
    key: str, program: HostProgram, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """The reason to refuse a fault of a program on hosts of which one does not have it."""
    without = hosts_without(program, topology, hosts)
    if not without:
        return None
    return (
        f"{key} would find no {NAMES[program]}: in the topology {topology.name} {without[0]} has "
        "none"
    )
