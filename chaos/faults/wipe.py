"""A host loses its power and PostgreSQL's data: its disk was replaced, or a snapshot thrown away.

It comes back with an empty data folder, and Patroni copies the primary anew (pg_basebackup).
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.host import cut_power, give_power_back, would_end_the_load
from chaos.faults.programs import nothing_there
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.substrates.base import Killable, ProcessSteerable, Wipeable
from cluster.topology.model import Topology

KEY = "host-wiped"


async def wipe(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Cut the power, then delete the data; both are gone on return."""
    done = await cut_power(stage, victim, params)
    await stage.able(Wipeable).wipe_data(victim.name)
    return f"{done}; PostgreSQL's data is deleted"


async def come_back_empty(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Power on; Patroni fetches the data from the primary."""
    if stage.able(ProcessSteerable).has_power(victim.name):
        return "the host has its power back already"
    return await give_power_back(stage, victim, params)


def impossible(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """It needs data to lose, and must not end the load."""
    why = would_end_the_load(NO_PARAMS, topology, hosts)
    if why is not None:
        return why.replace("host-power-cut would", f"{KEY} would")
    return nothing_there(KEY, "postgres", topology, hosts)


HOST_WIPED = FaultKind(
    key=KEY,
    words=FaultWords(
        title="host wiped",
        healed="host back, empty",
        noun=lambda hosts: f"the loss of the data of {joined(hosts)}",
        clause=lambda hosts: f"the data of {joined(hosts)} was lost",
        broken=lambda host: f"host {host} has no power and no data",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=HOSTS,
    needs=(Killable, Wipeable, ProcessSteerable),
    lasts=True,
    effect=lambda params: "power-off",
    strike=wipe,
    undo=come_back_empty,
    # One copy at a time: with two gone, what was acknowledged may be gone with them.
    chances=Chances(alone=True, targets=("primary", "replica", "any")),
    draw=lambda random: NO_PARAMS,
    impossible=impossible,
)
