"""Power cut of a host: everything on it ends in one moment, later it comes back with its disk."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined, possessive
from cluster.substrates.base import Killable
from cluster.topology.model import Topology

KEY = "host-power-cut"


async def cut_power(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Kill the host, link first; returns once no process of it is left."""
    await stage.able(Killable).kill_host(victim.name)
    return "link down and every process dead in one moment"


async def give_power_back(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Power on, link up, etcd and Patroni started as at boot."""
    if stage.able(Killable).has_power(victim.name):  # it came back with its site
        return "the power was back already"
    await stage.able(Killable).start_host(victim.name)
    started = await stage.cluster.start_services(victim.name)
    return f"power on, started {', '.join(started)}"


def would_end_the_load(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """The reason to refuse: without its load, a site's promises and outage cannot be known."""
    clients = [host for host in topology.hosts_with("client") if host.name in hosts]
    both = [host.name for host in clients if "postgres" in host.roles]
    if both:
        return (
            f"{KEY} would end the load together with PostgreSQL: in the topology {topology.name} "
            f"{', '.join(both)} has the roles postgres and client; give the client a host of its "
            "own"
        )
    if clients:
        names = ", ".join(host.name for host in clients)
        return f"{KEY} would end the load: in the topology {topology.name} it comes from {names}"
    return None


HOST_POWER_CUT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="power cut",
        healed="power back",
        noun=lambda hosts: f"the loss of {joined([possessive(h) for h in hosts])} host",
        clause=lambda hosts: f"{joined([possessive(h) for h in hosts])} host was lost",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(Killable,),
    lasts=True,
    effect=lambda params: "power-off",
    strike=cut_power,
    undo=give_power_back,
    chances=Chances(weight=2.0),
    draw=lambda random: NO_PARAMS,
    impossible=would_end_the_load,
)
