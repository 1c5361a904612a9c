"""A whole site is lost with everything on its disks; healing builds it anew.

Struck, it is the power cut of the site (``site_power``). Healed, its hosts come back with empty
disks, as new machines do: each member of etcd is replaced as etcd's manual says, and PostgreSQL is
cloned from the primary by Patroni.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.site_anew import join_anew
from chaos.faults.site_power import cannot_lose_its_power, cut_power, sites_in_words
from chaos.faults.targets import SITES, Victim
from chaos.wording import joined
from cluster.substrates.base import Cuttable, DiskEditable, Haltable, Killable
from cluster.topology.model import Topology

KEY = "site-lost-for-good"


async def lose(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Cut the power of the site; nobody can look at its disks any more.

    Raises:
        HostError: something of the site still answers, or is still answered.
    """
    return f"{await cut_power(stage, victim, params)}; its disks are lost with it"


async def build_anew(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """New machines, which join the cluster that went on (``site_anew``)."""
    words = await join_anew(stage, victim, keeps_data=False)
    return f"new machines with empty disks: {'; '.join(words)}" if words else "it runs already"


def cannot_be_built_anew(
    params: FaultParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """The reasons of the power cut; and etcd must have a majority elsewhere, to take in others."""
    if why := cannot_lose_its_power(params, topology, hosts):
        return why
    for site in topology.sites:
        names = {host.name for host in site.hosts}
        cluster = topology.cluster_of(site.hosts[0].name)
        members = [host.name for host in cluster.hosts_with("etcd")]
        left = [name for name in members if name not in names]
        if names & set(hosts) and len(names & set(members)) and len(left) <= len(members) // 2:
            return (
                f"{KEY} needs a majority of etcd elsewhere, which takes the new members in: in the "
                f"topology {topology.name} {joined(left) or 'nobody'} would be left without "
                f"{site.name}"
            )
    return None


SITE_LOST = FaultKind(
    key=KEY,
    words=FaultWords(
        title="site lost for good",
        healed="site built anew",
        noun=lambda sites: f"the loss for good of the {sites_in_words(sites)}",
        clause=lambda sites: (
            f"the {sites_in_words(sites)} {'was' if len(sites) == 1 else 'were'} lost for good"
        ),
        broken=lambda site: f"site {site} is lost for good",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=SITES,
    needs=(Killable, Cuttable, Haltable, DiskEditable),
    lasts=True,
    effect=lambda params: "power-off",
    strike=lose,
    undo=build_anew,
    chances=Chances(alone=True),  # with its disks a copy of the data is lost
    draw=lambda random: NO_PARAMS,
    impossible=cannot_be_built_anew,
)
