"""One process of a host is killed with SIGKILL.

PostgreSQL is started again by Patroni. Nobody starts the others again: a host has no service
manager here, so that their absence can be seen for as long as one likes; it ends when it is undone.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import Effect, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.programs import (
    NAMES,
    NO_POWER,
    PROGRAMS,
    HostProgram,
    nothing_there,
    processes_of,
    runs,
)
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.services import ROLE_OF_UNIT
from cluster.substrates.base import ProcessKillable, ProcessSteerable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "process-kill"
POSTGRES: HostProgram = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKillParams(FaultParams):
    """Which process."""

    process: str | None = None
    """``postgres`` (the postmaster), ``patroni``, ``etcd``, ``haproxy`` or ``pgbouncer``; None:
    ``postgres``."""


def read(table: TomlTable) -> ProcessKillParams:
    """``process``."""
    found = table.choice("process", PROGRAMS) if table.has("process") else None
    return ProcessKillParams(process=found)


async def kill(stage: Stage, victim: Victim, params: ProcessKillParams) -> str:
    """``kill -9``; returns once the process is gone."""
    process = params.process or POSTGRES
    machine = stage.able(ProcessKillable)
    pid = await machine.kill_process(victim.name, process, signal.SIGKILL)
    done = f"kill -9 {pid} ({process})"
    if process == "patroni":
        found = await stage.able(ProcessSteerable).processes(victim.name)
        left = len(processes_of("postgres", found))
        # In a container PostgreSQL ends with it; what a report claims is what was seen.
        return f"{done}; {left} processes of PostgreSQL live on"
    return done


async def start_again(stage: Stage, victim: Victim, params: ProcessKillParams) -> str:
    """Start what nobody else does; PostgreSQL is Patroni's business, which is what is tested."""
    process = program_of(params)
    if process == POSTGRES:
        return "nothing to undo"
    machine = stage.able(ProcessKillable)
    if not stage.able(ProcessSteerable).has_power(victim.name):
        return NO_POWER
    if await runs(machine, victim.name, process):
        return f"{process} runs on {victim.name} already"
    await stage.cluster.start_services(victim.name, only=ROLE_OF_UNIT[process])
    return f"started {process} on {victim.name}"


def program_of(params: ProcessKillParams) -> HostProgram:
    """The program that is meant; one that we do not know is what a caretaker was asked for."""
    return next((one for one in PROGRAMS if one == params.process), POSTGRES)


def lasts_with(params: ProcessKillParams) -> bool:
    """Only PostgreSQL is started again by somebody."""
    return program_of(params) != POSTGRES


def effect_of(params: ProcessKillParams) -> Effect:
    """What Patroni does about PostgreSQL is known; the rest is what a drill is to show."""
    return "restart" if program_of(params) == POSTGRES else "unpredicted"


def has_no_such(params: ProcessKillParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """Where a process does not run there is nothing to kill."""
    return nothing_there(KEY, program_of(params), topology, hosts)


def words_of(params: ProcessKillParams) -> FaultWords:
    """PostgreSQL crashes, and comes back; the others are dead."""
    process = program_of(params)
    name = NAMES[process]
    noun = "crash" if process == POSTGRES else "death"
    return FaultWords(
        title="process killed",
        healed="process back",
        noun=lambda hosts: f"the {noun} of {name} on {joined(hosts)}",
        clause=lambda hosts: f"{name} on {joined(hosts)} was killed",
        broken=None if process == POSTGRES else lambda host: f"{process} on {host} is dead",
    )


PROCESS_KILL = FaultKind(
    key=KEY,
    words=FaultWords(
        title="process killed",
        healed="process back",
        noun=lambda hosts: f"the death of a process on {joined(hosts)}",
        clause=lambda hosts: f"a process on {joined(hosts)} was killed",
    ),
    params=ProcessKillParams,
    read=read,
    takes=HOSTS,
    needs=(ProcessKillable, ProcessSteerable),
    lasts=False,
    effect=effect_of,
    strike=kill,
    undo=start_again,
    draw=lambda random: ProcessKillParams(process=POSTGRES),
    impossible=has_no_such,
    lasts_with=lasts_with,
    worded=words_of,
)
