"""A backend grows until the kernel would kill it, and is killed as the kernel does.

The machine's memory is not exhausted: that would hit every site, as all run on one machine. A query
makes one backend of the host the largest, and it gets what the kernel's out-of-memory killer sends
to the largest process: SIGKILL (Linux, ``mm/oom_kill.c``). What PostgreSQL does then is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import psycopg

from chaos.faults.backend import kill_backend
from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage, nothing_to_undo
from chaos.faults.programs import nothing_there, processes_of, wait_processes
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.errors import ClusterError
from cluster.patroni.config import POSTGRES_PORT, SUPERUSER
from cluster.substrates.base import HostProcess, ProcessSteerable
from cluster.substrates.relay import relay
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology
from replication import Credentials, StorageError
from replication.wire import Address, Session, connect

KEY = "out-of-memory"
MB_DEFAULT = 128
MB_MAX = 900
"""PostgreSQL's texts have less than 1 GB."""
HOLD_S = 60
"""The query holds the memory until it is killed, which takes a moment."""
DBNAME = "postgres"


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
    host, machine = victim.name, stage.able(ProcessSteerable)
    admin = Credentials(
        user=SUPERUSER,
        password=stage.cluster.credentials.superuser,
        dbname=DBNAME,
        application_name="bascule-out-of-memory",
    )
    try:
        async with relay(stage.cluster.substrate.console, host, POSTGRES_PORT) as port:
            session = await connect(Address(node=host, host="127.0.0.1", port=port), admin)
            [[pid]] = await session.fetch("SELECT pg_backend_pid()")
            async with anyio.create_task_group() as growing:
                growing.start_soon(_grow, session, params.mb)
                found = await wait_processes(
                    machine,
                    host,
                    f"a backend of {params.mb} MB",
                    lambda found: _is_largest(pid, params.mb, found),
                )
                [backend] = [one for one in found if one.pid == pid]
                done = await kill_backend(machine, host, backend)
                growing.cancel_scope.cancel()
    except (psycopg.Error, StorageError, ExceptionGroup) as error:
        raise ClusterError(f"no query grew on {host}: {error}", host=host) from error
    return f"a query of {backend.resident_kb // 1024} MB, then as the kernel does: {done}"


async def _grow(session: Session, mb: int) -> None:
    """Hold the memory until the end, which is a violent one."""
    query = f"SELECT length(repeat('x', {mb} * 1048576) || pg_sleep({HOLD_S})::text)"
    try:
        await session.fetch(query)
    except (psycopg.Error, StorageError):
        return
    finally:
        with anyio.CancelScope(shield=True):
            await session.close()


def _is_largest(pid: object, mb: int, found: Sequence[HostProcess]) -> bool:
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
    draw=None,
    impossible=has_no_postgres,
)
