"""A member of etcd is killed and stays down: the DCS loses a member, its majority, or all.

Without a majority of etcd Patroni cannot keep the leader key, and the primary must step down within
``retry_timeout`` of its next look (Patroni docs, DCS failsafe mode); with ``failsafe_mode`` it goes
on as long as every member answers it.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.roles import only_with
from chaos.faults.targets import DCS_HOSTS, Victim
from chaos.wording import joined
from cluster.errors import HostError
from cluster.etcd import member
from cluster.substrates.base import Haltable

KEY = "dcs-stop"


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


def of_etcd(hosts: Sequence[str]) -> str:
    """``etcd on dcs-paris``."""
    return f"etcd on {joined(hosts)}"


DCS_STOP = FaultKind(
    key=KEY,
    words=FaultWords(
        title="etcd down",
        healed="etcd back",
        noun=lambda hosts: f"the loss of {of_etcd(hosts)}",
        clause=lambda hosts: f"{of_etcd(hosts)} was lost",
        broken=lambda host: f"etcd on {host} is stopped",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=(*DCS_HOSTS, "host"),
    needs=(Haltable,),
    lasts=True,
    # How long a primary may go on without etcd depends on where its loop stands.
    effect=lambda params: "unpredicted",
    strike=halt,
    undo=start,
    draw=lambda random: NO_PARAMS,
    impossible=only_with("etcd", KEY),
)
