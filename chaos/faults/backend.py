"""A single backend of PostgreSQL is killed with SIGKILL.

It may have left shared memory in disorder, so the postmaster ends all other backends and recovers
as after a crash (PostgreSQL manual, 18.5; ``restart_after_crash``). That is why one must not
``kill -9`` a runaway query.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from chaos.faults.base import (
    NO_PARAMS,
    Chances,
    FaultKind,
    FaultParams,
    FaultWords,
    Stage,
    nothing_to_undo,
)
from chaos.faults.programs import client_backends, nothing_there, processes_of, wait_processes
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.errors import ClusterError
from cluster.substrates.base import HostProcess, ProcessSteerable
from cluster.topology.model import Topology

KEY = "backend-kill"


async def kill(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Kill the client's backend that has lived longest; returns once all others ended too.

    Raises:
        ClusterError: no client is connected; or nothing came of it.
    """
    host, machine = victim.name, stage.able(ProcessSteerable)
    backends = client_backends(await machine.processes(host))
    if not backends:
        raise ClusterError(f"no client is connected to PostgreSQL on {host}", host=host)
    return await kill_backend(machine, host, backends[0])


async def kill_backend(machine: ProcessSteerable, host: str, backend: HostProcess) -> str:
    """Kill this one; returns once every process of PostgreSQL but the postmaster was replaced.

    Raises:
        ClusterError: that was not seen.
    """
    before = processes_of("postgres", await machine.processes(host))
    children = {one.pid for one in before if one.parent == backend.parent}
    await machine.signal_processes(host, (backend.pid,), signal.SIGKILL)
    await wait_processes(
        machine,
        host,
        f"the end of every process of PostgreSQL after the kill of {backend.pid}",
        lambda found: not children & {one.pid for one in found},
    )
    others = len(children) - 1
    return f"kill -9 {backend.pid} ({backend.command}); the postmaster ended the other {others} too"


def has_no_postgres(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """Where PostgreSQL does not run there is no backend."""
    return nothing_there(KEY, "postgres", topology, hosts)


BACKEND_KILL = FaultKind(
    key=KEY,
    words=FaultWords(
        title="backend killed",
        healed="backend back",
        noun=lambda hosts: f"the kill of a backend of {joined(hosts)}",
        clause=lambda hosts: f"a backend of {joined(hosts)} was killed",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(ProcessSteerable,),
    lasts=False,
    # The postmaster lives and recovers at once: no look of Patroni is waited for.
    effect=lambda params: "unpredicted",
    strike=kill,
    undo=nothing_to_undo,
    # A replica may have no client, and is then refused.
    chances=Chances(alone=True, targets=("primary",)),
    draw=lambda random: NO_PARAMS,
    impossible=has_no_postgres,
)
