"""A host stands still for a while, and then goes on as if nothing had been.

Every process of it gets SIGSTOP in one moment. So may a virtual machine stand still that its
hypervisor moves, or that gets no processor. When it wakes up it does not know that time has passed:
an old primary believes for a moment that it still is one.

Its kernel goes on: connections are accepted and bytes acknowledged, and nobody answers. A machine
that is paused as a whole is silent on the network too: add a ``link-cut`` for that.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.host import would_end_the_load
from chaos.faults.programs import NO_POWER, wait_processes
from chaos.faults.stop import STOPPED
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import counted, joined, possessive
from cluster.substrates.base import ProcessSteerable
from cluster.topology.model import Topology

KEY = "host-freeze"
STANDS_STILL = (STOPPED, "Z")
"""What has ended and was not reaped yet does nothing either."""


async def freeze(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Stop everything at once; returns once every process is seen to be stopped."""
    host, machine = victim.name, stage.able(ProcessSteerable)
    await machine.signal_all_processes(host, signal.SIGSTOP)
    found = await wait_processes(
        machine,
        host,
        "every process stopped",
        lambda found: bool(found) and all(one.state in STANDS_STILL for one in found),
    )
    stopped = counted(len(found), "process is", "processes are")
    return f"SIGSTOP to all: {stopped} stopped (state {STOPPED})"


async def thaw(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Let everything go on; returns once no process is stopped."""
    host, machine = victim.name, stage.able(ProcessSteerable)
    if not machine.has_power(host):
        return NO_POWER
    await machine.signal_all_processes(host, signal.SIGCONT)
    found = await wait_processes(
        machine,
        host,
        "no process stopped",
        lambda found: not any(one.state == STOPPED for one in found),
    )
    return f"SIGCONT to all: {counted(len(found), 'process goes', 'processes go')} on"


def would_stop_the_load(
    params: FaultParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """The load must not stand still: its promises and outages could not be known."""
    why = would_end_the_load(NO_PARAMS, topology, hosts)
    return None if why is None else why.replace("host-power-cut would end", f"{KEY} would stop")


HOST_FREEZE = FaultKind(
    key=KEY,
    words=FaultWords(
        title="host frozen",
        healed="host goes on",
        noun=lambda hosts: f"the freeze of {joined([possessive(h) for h in hosts])} host",
        clause=lambda hosts: f"{joined([possessive(h) for h in hosts])} host stood still",
        broken=lambda host: f"host {host} stands still",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(ProcessSteerable,),
    lasts=True,
    effect=lambda params: "silence",
    strike=freeze,
    undo=thaw,
    draw=lambda random: NO_PARAMS,
    impossible=would_stop_the_load,
)
