"""A replica that may not lead is promoted by hand, where a majority of etcd is lost for long.

What an operator does when only the disaster site is left. Patroni decides nothing without etcd, and
etcd nothing without a majority, so the order is:

1. etcd goes on with the member of that site alone: stopped, started with ``force-new-cluster``,
   which drops the other members and keeps the data, and the option taken out again (etcd docs,
   configuration options; runtime reconfiguration, "restart cluster from majority failure").
2. The member loses the tag that keeps it from leading, in its ``patroni.yml``, and is reloaded.
   With the tag ``POST /failover`` answers "no good candidates have been found".
3. The key of the lost leader is deleted: the new etcd gives its lease the whole ttl again.
4. ``POST /failover``. In synchronous mode nobody would run for the lead by himself: the votes of
   the lost are missing.

Synchronous replication stays on. Where nobody else streams, strict mode takes any standby, one with
``nosync`` too: so a second copy beside the promoted one confirms its commits. A copy that is alone
acknowledges nothing then.

All of it is right only if nobody of the lost sites comes back by itself (``site-power-cut`` with
``fenced``), and what only they had is lost. Undone, the lead goes home first and the tag comes back
afterwards: a primary with ``nofailover`` keeps no replication slots for its members
(``_get_members_slots`` in patroni/dcs/__init__.py), so that who comes back finds none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import anyio

from chaos.faults import failover_by_hand
from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.roles import only_with
from chaos.faults.targets import Victim
from chaos.wording import counted, joined
from cluster import maintenance
from cluster.errors import ClusterError, PatroniError
from cluster.etcd import admin, member
from cluster.patroni import config
from cluster.substrates.base import Haltable
from cluster.topology.model import Topology
from cluster.whole import counted_by

KEY = "promoted-by-hand"
ETCD_TIMEOUT_S = 60.0
"""For a member that starts alone: an election with itself, a second; its data is read first."""
RELOAD_TIMEOUT_S = 60.0
HOME_TIMEOUT_S = 180.0
"""For the cluster to be whole again, whose lost members have to be rewound or cloned first."""
SWITCH_TIMEOUT_S = 60.0
POLL_S = 0.2


async def promote(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """The steps above, each with its time. Proof: the replica is the primary."""
    node, words = victim.name, []
    cluster = stage.cluster
    for name, step in (
        ("etcd alone", _go_on_alone),
        ("may lead", _let_lead),
        ("key deleted", _forget_leader),
        ("promoted", _fail_over),
    ):
        begin_s = time.monotonic()
        said = await step(stage, node)
        words.append(f"{name} in {time.monotonic() - begin_s:.1f} s ({said})")
    if await cluster.primary() != node:
        raise ClusterError(f"{node} was promoted by hand, and does not lead", host=node)
    return "; ".join(words)


async def _go_on_alone(stage: Stage, node: str) -> str:
    """``force-new-cluster``. Proof: etcd is healthy, and has one member."""
    cluster = stage.cluster
    host = _etcd_beside(cluster.substrate.topology, node)
    assert host is not None  # else it was refused (``cannot_be_promoted``)
    await stage.able(Haltable).halt_unit(host, member.UNIT)
    await cluster.configure(host, "etcd", {member.FORCE_KEY: True})
    await cluster.start_services(host, only="etcd")
    await admin.wait_serves(cluster.etcd, [host], timeout_s=ETCD_TIMEOUT_S)
    await cluster.configure(host, "etcd", {member.FORCE_KEY: None})
    left = await admin.members_now(cluster.etcd, [host])
    if left != (host,):
        words = f"etcd on {host} was to go on alone, and has the members {', '.join(left)}"
        raise ClusterError(words, host=host)
    lost = len(cluster.dcs_hosts) - 1
    return f"{host}, without {counted(lost, 'other member', 'other members')}"


async def _let_lead(stage: Stage, node: str) -> str:
    own = stage.cluster.substrate.topology.host(node).tags
    free = replace(own, nofailover=False, failover_priority=None)
    await _tag(stage, node, free.given)
    return "nofailover taken away" if own.nofailover else "it had none that keeps it from leading"


async def _tag(stage: Stage, node: str, tags: dict[str, bool | int | str]) -> None:
    """Edit the tags in ``patroni.yml``, reload. Proof: the member says that it may lead, or not."""
    rest = maintenance.rest_of(stage.cluster, node)
    await stage.cluster.configure(node, "postgres", {"tags": tags})
    await rest.ask("POST", "/reload", {}, timeout_s=RELOAD_TIMEOUT_S)

    async def in_force() -> bool:
        found = await rest.member()
        return found is not None and bool(found.tags.get("nofailover")) == bool(
            tags.get("nofailover")
        )

    await maintenance.wait_for(
        in_force, f"{node} has not its new tags in force", timeout_s=RELOAD_TIMEOUT_S
    )


async def _forget_leader(stage: Stage, node: str) -> str:
    cluster = stage.cluster
    topology = cluster.substrate.topology
    host = _etcd_beside(topology, node)
    key = config.leader_key(topology.cluster.scope)
    was_there = await admin.delete_key(cluster.etcd, [host] if host else [], key)
    return "that of the lost leader" if was_there else "it had expired"


async def _fail_over(stage: Stage, node: str) -> str:
    return await failover_by_hand.promote(stage, node, await stage.cluster.members())


async def go_home(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Hand the lead to a member that may have it, once the cluster is whole; then the tags are as
    they were. Where nobody can take it in time, lead and tags stay."""
    node, cluster = victim.name, stage.cluster
    topology = cluster.substrate.topology
    host = _etcd_beside(topology, node)
    if host is not None:
        await cluster.configure(host, "etcd", {member.FORCE_KEY: None})
        if not stage.able(Haltable).runs_unit(host, member.UNIT):
            await cluster.start_services(host, only="etcd")
    words = "it led no more"
    if await cluster.primary() == node:
        home = await _hand_home(stage, node)
        if home is None:
            return f"nobody else can lead: {node} leads on, without the tag"
        words = f"{home} leads"
    await _tag(stage, node, topology.host(node).tags.given)
    return f"{words}; {node} has its tags again"


async def _hand_home(stage: Stage, node: str) -> str | None:
    """Hand the lead to a member that may have it, once the cluster is whole; who leads then. None:
    nobody could take it in time."""
    cluster, topology = stage.cluster, stage.cluster.substrate.topology
    end_s = time.monotonic() + HOME_TIMEOUT_S
    while (left_s := end_s - time.monotonic()) > 0:
        if await cluster.wait_whole(timeout_s=left_s) is not None:
            break
        found = await cluster.rest[node].member()
        standbys = counted_by(found) if found is not None else set()
        able = sorted(one for one in standbys if topology.host(one).tags.may_lead)
        try:
            if able:
                await cluster.switchover(node, able[0], timeout_s=SWITCH_TIMEOUT_S)
                return await maintenance.wait_primary(
                    cluster, timeout_s=SWITCH_TIMEOUT_S, other_than=node
                )
        except PatroniError:
            pass  # whoever has just come back may not have told the DCS yet that it streams
        await anyio.sleep(POLL_S)
    return None


def _etcd_beside(topology: Topology, node: str) -> str | None:
    """The first host with etcd in the node's site."""
    hosts = topology.site_of(node).hosts
    return next((host.name for host in hosts if "etcd" in host.roles), None)


def cannot_be_promoted(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """It needs PostgreSQL there, and a member of etcd in the same site that can go on alone."""
    if why := only_with("postgres", KEY)(params, topology, hosts):
        return why
    without = [host for host in hosts if _etcd_beside(topology, host) is None]
    if without:
        site = topology.site_of(without[0]).name
        return (
            f"{KEY} needs a member of etcd that goes on alone: in the topology {topology.name} "
            f"the site {site} of {without[0]} has none"
        )
    return None


PROMOTED_BY_HAND = FaultKind(
    key=KEY,
    words=FaultWords(
        title="promoted by hand",
        healed="lead handed home",
        noun=lambda hosts: f"the promotion of {joined(hosts)} by hand",
        clause=lambda hosts: f"{joined(hosts)} was promoted by hand",
        broken=lambda host: f"{host} was promoted by hand",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("host",),
    needs=(Haltable,),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=promote,
    undo=go_home,
    draw=None,  # it is right only after a disaster, and loses what was not replicated
    impossible=cannot_be_promoted,
    by_hand=True,
)
