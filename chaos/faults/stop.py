"""A program of a host stands still: SIGSTOP to all of its processes, until SIGCONT.

It hangs, it does not die: its connections stand, the kernel acknowledges what it is sent, and
nobody answers. A pg_ctl or systemd that looks for the pid finds it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.programs import (
    EFFECT_TIMEOUT_S,
    NAMES,
    NO_POWER,
    POLL_S,
    PROGRAMS,
    HostProgram,
    nothing_there,
    processes_of,
)
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.errors import ClusterError
from cluster.substrates.base import ProcessSteerable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "process-stop"
STOPPED = "T"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStopParams(FaultParams):
    """Which program."""

    process: HostProgram = "postgres"
    """``postgres`` (the postmaster and all of its children), ``patroni``, ``etcd``, ``haproxy`` or
    ``pgbouncer``."""


async def stop(stage: Stage, victim: Victim, params: ProcessStopParams) -> str:
    """SIGSTOP; returns once every process of the program is seen to be stopped."""
    host, name = victim.name, NAMES[params.process]
    seen = await _signal_all(stage, host, params.process, signal.SIGSTOP, stopped=True)
    if not seen:
        raise ClusterError(f"{name} does not run on {host}", host=host)
    return f"SIGSTOP: {seen} of {seen} processes of {name} are stopped (state {STOPPED})"


async def go_on(stage: Stage, victim: Victim, params: ProcessStopParams) -> str:
    """SIGCONT; returns once none of them is stopped."""
    host, name = victim.name, NAMES[params.process]
    if not stage.able(ProcessSteerable).has_power(host):
        return NO_POWER
    seen = await _signal_all(stage, host, params.process, signal.SIGCONT, stopped=False)
    return f"SIGCONT: {seen} processes of {name} go on" if seen else f"{name} does not run"


async def _signal_all(
    stage: Stage, host: str, program: HostProgram, number: int, *, stopped: bool
) -> int:
    """Signal the processes of a program until all of them are in the state that is asked for; a
    postmaster may have begun a child just before it was stopped itself. How many they are."""
    machine = stage.able(ProcessSteerable)
    with anyio.move_on_after(EFFECT_TIMEOUT_S):
        while True:
            seen = processes_of(program, await machine.processes(host))
            others = [one.pid for one in seen if (one.state == STOPPED) != stopped]
            if not others:
                return len(seen)
            await machine.signal_processes(host, others, number)
            await anyio.sleep(POLL_S)
    words = f"processes of {NAMES[program]} on {host} do not heed signal {number}"
    raise ClusterError(words, host=host)


def words_of(params: ProcessStopParams) -> FaultWords:
    """With the name of the program."""
    return _words(NAMES[params.process], lambda host: f"{params.process} on {host} is stopped")


def _words(name: str, broken: Callable[[str], str] | None = None) -> FaultWords:
    return FaultWords(
        title="process stopped",
        healed="process goes on",
        noun=lambda hosts: f"the standstill of {name} on {joined(hosts)}",
        clause=lambda hosts: f"{name} on {joined(hosts)} stood still",
        broken=broken,
    )


def has_no_such(params: ProcessStopParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """Where a program does not run there is nothing to stop."""
    return nothing_there(KEY, params.process, topology, hosts)


def read(table: TomlTable) -> ProcessStopParams:
    """``process``."""
    return ProcessStopParams(process=table.choice("process", PROGRAMS, "postgres"))


PROCESS_STOP = FaultKind(
    key=KEY,
    words=_words("a process"),
    params=ProcessStopParams,
    read=read,
    takes=HOSTS,
    needs=(ProcessSteerable,),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=stop,
    undo=go_on,
    # Both run where PostgreSQL does, which is where the defaults say that it can strike.
    draw=lambda random: ProcessStopParams(process=random.choice(("postgres", "patroni"))),
    impossible=has_no_such,
    worded=words_of,
)
