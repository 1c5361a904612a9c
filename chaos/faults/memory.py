"""A backend grows until the kernel would kill it, and is killed as the kernel does.

The machine's memory is not exhausted: that would hit every site, as all run on one machine. A query
makes one backend of the host the largest, and it gets what the kernel's out-of-memory killer sends
to the largest process: SIGKILL (Linux, ``mm/oom_kill.c``). What PostgreSQL does then is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pkgutil import resolve_name

from chaos.faults.backend import kill_backend
from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.programs import nothing_there, processes_of, wait_processes
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.raised import RaisedCluster
from cluster.substrates.base import HostProcess, ProcessSteerable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "out-of-memory"
MB_DEFAULT = 128
MB_MAX = 900
"""PostgreSQL's texts have less than 1 GB."""

DRAWN_MB = (64, 256)
"""Larger than a backend of a load, and little enough for a machine with several labs."""

LargeQuery = Callable[[RaisedCluster, str, int], AbstractAsyncContextManager[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfMemoryParams(FaultParams):
    """How large."""

    mb: int = MB_DEFAULT
    """How much memory the query takes at least, in MB."""


async def exhaust(stage: Stage, victim: Victim, params: OutOfMemoryParams) -> str:
    """Make a backend the largest process of PostgreSQL, and kill it.

    Raises:
        ClusterError: it did not get the largest, or nothing came of its death.
    """
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    large_query: LargeQuery = resolve_name("chaos.load.large_query:large_query")
    host, machine = victim.name, stage.able(ProcessSteerable)
    async with large_query(stage.cluster, host, params.mb) as pid:
        found = await wait_processes(
            machine,
            host,
            f"a backend of {params.mb} MB",
            lambda found: _is_largest(pid, params.mb, found),
        )
        [backend] = [one for one in found if one.pid == pid]
        done = await kill_backend(machine, host, backend)
    return f"a query of {backend.resident_kb // 1024} MB, then as the kernel does: {done}"


def _is_largest(pid: int, mb: int, found: Sequence[HostProcess]) -> bool:
    """This backend has so much, and no other process of PostgreSQL more."""
    servers = processes_of("postgres", found)
    largest = max(servers, key=lambda one: one.resident_kb, default=None)
    return largest is not None and largest.pid == pid and largest.resident_kb >= mb * 1024


def read(table: TomlTable) -> OutOfMemoryParams:
    """``mb``."""
    return OutOfMemoryParams(
        mb=int(table.number("mb", minimum=1, maximum=MB_MAX, default=MB_DEFAULT))
    )


def has_no_postgres(
    params: OutOfMemoryParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """Where PostgreSQL does not run no backend grows."""
    return nothing_there(KEY, "postgres", topology, hosts)


OUT_OF_MEMORY = FaultKind(
    key=KEY,
    words=FaultWords(
        title="out of memory",
        healed="memory free",
        noun=lambda hosts: f"the kill of the largest backend of {joined(hosts)}",
        clause=lambda hosts: (
            f"the largest backend of {joined(hosts)} was killed, as for want of memory"
        ),
    ),
    params=OutOfMemoryParams,
    read=read,
    takes=HOSTS,
    needs=(ProcessSteerable,),
    lasts=False,
    effect=lambda params: "unpredicted",
    strike=exhaust,
    undo=nothing_to_undo,
    draw=lambda random: OutOfMemoryParams(mb=random.randint(*DRAWN_MB)),
    impossible=has_no_postgres,
)
