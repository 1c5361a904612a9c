"""etcd stands still for some seconds: every connection stays open, and no answer comes.

A pause shorter than Patroni's ``retry_timeout`` must not demote the primary (patroni issues 1195
and 3407: hiccups of 2 to 8 s). How long it lasts is the time from ``at_s`` to ``heal_at_s``.
"""

from __future__ import annotations

import signal

import anyio
import anyio.lowlevel

from chaos.faults.base import FaultParams, Stage
from chaos.faults.dcs import etcd_out, etcd_words
from chaos.faults.targets import Victim
from cluster.errors import ClusterError, HostError
from cluster.etcd import member
from cluster.substrates.base import ProcessKillable

SILENCE_S = 0.3
"""A member that runs answers in milliseconds on its own loopback. Shorter than any pause."""
STOP_TIMEOUT_S = 5.0
AGAIN_S = 10.0
"""It has to catch up first; on a machine that is badly overloaded that takes seconds."""


async def stop(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """SIGSTOP. Proof: it answered before, and is silent now, which needs no other member."""
    host, etcd = victim.name, stage.cluster.etcd
    if not await etcd.answers(host):
        raise HostError(f"etcd on {host} does not answer: there is nothing to pause", host=host)
    pid = await stage.able(ProcessKillable).kill_process(host, member.UNIT, signal.SIGSTOP)
    # A process stops once one of its threads has been given the processor and finds the signal.
    with anyio.move_on_after(STOP_TIMEOUT_S) as waiting:
        while await etcd.answers(host, timeout_s=SILENCE_S):
            await anyio.lowlevel.checkpoint()
    if waiting.cancelled_caught:
        raise HostError(f"etcd on {host} answers although it was stopped", host=host)
    return f"SIGSTOP {pid}: etcd keeps its connections and answers nothing"


async def go_on(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """SIGCONT. Proof: it answers. One that has ended meanwhile has nothing to continue."""
    host = victim.name
    try:
        pid = await stage.able(ProcessKillable).kill_process(host, member.UNIT, signal.SIGCONT)
    except ClusterError as error:
        return f"etcd on {host} has ended meanwhile: {error}"
    if not await stage.cluster.etcd.answers(host, timeout_s=AGAIN_S):
        raise HostError(f"etcd on {host} does not answer after SIGCONT {pid}", host=host)
    return f"SIGCONT {pid}: etcd answers again"


DCS_PAUSE = etcd_out(
    "dcs-pause",
    etcd_words(
        "etcd paused",
        "etcd goes on",
        noun="the pause",
        happened="stood still",
        state="is paused",
    ),
    needs=(ProcessKillable,),
    strike=stop,
    undo=go_on,
)
