"""How a site that was away joins a cluster that went on without it: nothing of its own accord.

Its etcd would come up as the cluster of then, and two sites together have a majority of it: their
Patroni would find the leader key of then and lead on, beside whoever leads by now. So the members
of etcd come back empty, each as a new member of the cluster of now, and only then Patroni: its
PostgreSQL with its old data, to be rewound, or without any, to be cloned.
"""

from __future__ import annotations

import anyio

from chaos.faults import dcs_wiped
from chaos.faults.base import NO_PARAMS, Stage
from chaos.faults.targets import Victim, find_victim, layout_of
from cluster.etcd import member
from cluster.patroni import config
from cluster.substrates.base import Cuttable, DiskEditable, Haltable, Killable

ERASE = 'for one; do rm -rf "$one" && test ! -e "$one" || exit 1; done'
"""Deletes what it is given, and looks whether it is gone."""


async def join_anew(stage: Stage, victim: Victim, *, keeps_data: bool) -> tuple[str, ...]:
    """Power on, etcd's members replaced one after another, then Patroni; what was done, in words.

    What runs already is left as it is, so that a site that is half there is finished.

    Args:
        stage: where it is.
        victim: the site.
        keeps_data: PostgreSQL has the data of then; else an empty disk.

    Raises:
        ClusterError: the cluster of now does not take a member in.
    """
    machine, topology = stage.able(Killable), stage.cluster.substrate.topology
    runs = stage.able(Haltable).runs_unit
    clients = {host.name for host in topology.hosts_with("client")}
    hosts = [host for host in victim.hosts if host not in clients]
    dead = {
        unit: [host for host in hosts if role in topology.host(host).roles and not runs(host, unit)]
        for unit, role in ((member.UNIT, "etcd"), (config.UNIT, "postgres"))
    }
    async with anyio.create_task_group() as boots:
        for host in victim.hosts:
            if host in clients:
                boots.start_soon(stage.able(Cuttable).heal_link, host)
            elif not machine.has_power(host):
                boots.start_soon(machine.start_host, host)
    words = []
    layout = layout_of(topology)
    for host in dead[member.UNIT]:
        await _erase(stage, host, str(member.data_dir(stage.cluster.substrate, host)))
        said = await dcs_wiped.join_anew(stage, find_victim(host, layout), NO_PARAMS)
        words.append(f"etcd on {host} {said}")
    for host in dead[config.UNIT]:
        if not keeps_data:
            await _erase(stage, host, str(stage.cluster.substrate.data_folder(host) / "pgdata"))
        await stage.cluster.start_services(host, only="postgres")
        what = "with its old data, to be rewound" if keeps_data else "without data, to be cloned"
        words.append(f"patroni on {host} started {what}")
    return tuple(words)


async def _erase(stage: Stage, host: str, folder: str) -> None:
    await stage.able(DiskEditable).edit_disk(host, ("sh", "-c", ERASE, "sh", folder))
