"""A member of etcd loses its data; healing replaces it as etcd's manual says.

A member with an empty disk may not come back under its old identity, since it would vote anew on
what it has already voted on: it is taken out of the cluster, added anew, and started as one that
joins an existing cluster (etcd docs, runtime reconfiguration, "replace a failed machine").
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, Stage
from chaos.faults.dcs import etcd_words
from chaos.faults.roles import only_with
from chaos.faults.targets import Victim
from cluster.errors import HostError
from cluster.etcd import admin, member
from cluster.substrates.base import DiskEditable, Haltable
from cluster.topology.model import Topology

KEY = "dcs-wiped"
JOIN_TIMEOUT_S = 60.0
MEMBERS_MIN = 3
"""With two, the other one alone is no majority and cannot change who belongs to the cluster."""


async def wipe(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Kill etcd and delete what it has on its disk. Proof: the folder is gone."""
    host, substrate = victim.name, stage.cluster.substrate
    folder = str(member.data_dir(substrate, host))
    await stage.able(Haltable).halt_unit(host, member.UNIT)
    erase = 'test -d "$1" && rm -rf "$1" && test ! -e "$1"'
    await stage.able(DiskEditable).edit_disk(host, ("sh", "-c", erase, "sh", folder))
    if await stage.cluster.etcd.answers(host):
        raise HostError(f"etcd on {host} still answers", host=host)
    return f"etcd killed, {folder} deleted"


async def join_anew(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Member remove, member add, start. One that was never wiped is only started.

    Also where an earlier attempt came half way: a member that was removed and not yet added, or
    added and not yet started.
    """
    host, cluster = victim.name, stage.cluster
    substrate = cluster.substrate
    etcd = substrate.topology.cluster_of(host).hosts_with("etcd")
    others = [one.name for one in etcd if one.name != host]
    if stage.able(Haltable).runs_unit(host, member.UNIT):
        return "etcd runs already"
    url = member.peer_url(substrate, host)
    removed = await admin.remove_member(cluster.etcd, others, host)
    await admin.add_member(cluster.etcd, others, url)
    # After a disaster fewer belong to it than there were; etcd compares ("member count").
    known = [one for one in await admin.members_now(cluster.etcd, others) if one not in ("", host)]
    initial = member.initial_cluster(substrate, [*known, host])
    await cluster.configure(host, "etcd", {member.INITIAL_CLUSTER_KEY: initial})
    # Half-struck, the folder may be there still: what is in it belongs to the member removed.
    folder = str(member.data_dir(substrate, host))
    await stage.able(DiskEditable).edit_disk(host, ("rm", "-rf", folder))
    await cluster.start_services(host, only="etcd")
    await admin.wait_serves(cluster.etcd, [host], timeout_s=JOIN_TIMEOUT_S)
    words = "removed from the cluster and added" if removed else "added to the cluster"
    return f"{words} as {url}, started empty, healthy"


def too_few(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """Who is left must be able to change who belongs to the cluster."""
    counts = [len(topology.cluster_of(host).hosts_with("etcd")) for host in hosts]
    count = min(counts, default=len(topology.main.hosts_with("etcd")))
    if count < MEMBERS_MIN:
        return (
            f"{KEY} needs {MEMBERS_MIN} members of etcd, so that two can replace the third: the "
            f"topology {topology.name} has {count}"
        )
    return only_with("etcd", KEY)(params, topology, hosts)


DCS_WIPED = FaultKind(
    key=KEY,
    words=etcd_words(
        "etcd's data lost",
        "etcd member replaced",
        noun="the loss of the data",
        happened="lost its data",
        state="has lost its data",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("dcs-leader", "dcs-member", "host"),
    needs=(Haltable, DiskEditable),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=wipe,
    undo=join_anew,
    chances=Chances(alone=True),  # its heal asks a majority of etcd
    draw=lambda random: NO_PARAMS,
    impossible=too_few,
)
