"""A whole site is lost with everything on its disks; healing builds it anew.

Struck, it is the power cut of the site (``site_power``). Healed, its hosts come back with empty
disks, as new machines do: each member of etcd is replaced as etcd's manual says, and PostgreSQL is
cloned from the primary by Patroni.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from chaos.faults import dcs_wiped
from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.site_power import cannot_lose_its_power, cut_power, sites_in_words, split
from chaos.faults.targets import SITES, Victim, find_victim, layout_of
from chaos.wording import joined
from cluster.etcd import member
from cluster.patroni import config
from cluster.substrates.base import Cuttable, DiskEditable, Haltable, Killable
from cluster.topology.model import Topology

KEY = "site-lost-for-good"
ERASE = 'for one; do rm -rf "$one" && test ! -e "$one" || exit 1; done'
"""Deletes what it is given, and looks whether it is gone."""


async def lose(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Cut the power of the site; nobody can look at its disks any more.

    Raises:
        HostError: something of the site still answers, or is still answered.
    """
    return f"{await cut_power(stage, victim, params)}; its disks are lost with it"


async def build_anew(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Power on, empty disks, etcd's members replaced one after another, then Patroni.

    What runs already is left as it is, so that a site that was built half is finished.
    """
    machine, topology = stage.able(Killable), stage.cluster.substrate.topology
    runs = stage.able(Haltable).runs_unit
    hosts, clients = split(topology, victim.hosts)
    dead = {
        unit: [host for host in hosts if role in topology.host(host).roles and not runs(host, unit)]
        for unit, role in ((member.UNIT, "etcd"), (config.UNIT, "postgres"))
    }
    async with anyio.create_task_group() as boots:
        for host in clients:
            boots.start_soon(stage.able(Cuttable).heal_link, host)
        for host in hosts:
            if not machine.has_power(host):
                boots.start_soon(machine.start_host, host)
    words = []
    layout = layout_of(topology)
    for host in dead[member.UNIT]:
        await _erase(stage, host, str(member.data_dir(stage.cluster.substrate, host)))
        said = await dcs_wiped.join_anew(stage, find_victim(host, layout), NO_PARAMS)
        words.append(f"etcd on {host} {said}")
    for host in dead[config.UNIT]:
        await _erase(stage, host, str(stage.cluster.substrate.data_folder(host) / "pgdata"))
        await stage.cluster.start_services(host, only="postgres")
        words.append(f"patroni on {host} started without data, to be cloned")
    return f"new machines with empty disks: {'; '.join(words)}" if words else "it runs already"


async def _erase(stage: Stage, host: str, folder: str) -> None:
    await stage.able(DiskEditable).edit_disk(host, ("sh", "-c", ERASE, "sh", folder))


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
