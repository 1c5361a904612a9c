"""A member of etcd is killed and stays down: the DCS loses a member, its majority, or all.

Without a majority of etcd Patroni cannot keep the leader key, and the primary must step down within
``retry_timeout`` of its next look (Patroni docs, DCS failsafe mode); with ``failsafe_mode`` it goes
on as long as every member answers it.
"""

from __future__ import annotations

from chaos.faults.base import FaultParams, Stage
from chaos.faults.dcs import etcd_out, etcd_words
from chaos.faults.targets import Victim
from cluster.errors import HostError
from cluster.etcd import member
from cluster.substrates.base import Haltable


async def halt(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """``kill -9`` of etcd; nothing starts it again. Proof: its client port answers no more."""
    host, machine = victim.name, stage.able(Haltable)
    if not machine.runs_unit(host, member.UNIT):
        raise HostError(f"etcd does not run on {host}", host=host)
    await machine.halt_unit(host, member.UNIT)
    if await stage.cluster.etcd.answers(host):
        raise HostError(f"etcd on {host} still answers", host=host)
    return "etcd killed, its client port is closed; nothing starts it again"


async def start(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Start it again with its data, unless its host came back with it meanwhile."""
    if stage.able(Haltable).runs_unit(victim.name, member.UNIT):
        return "etcd runs already"
    await stage.cluster.start_services(victim.name, only="etcd")
    return "etcd started with the data that it had"


DCS_STOP = etcd_out(
    "dcs-stop",
    etcd_words(
        "etcd down",
        "etcd back",
        noun="the loss",
        happened="was lost",
        state="is stopped",
    ),
    needs=(Haltable,),
    strike=halt,
    undo=start,
)
