"""An operator promotes the standby cluster (``patronictl edit-config``: no ``standby_cluster``).

Nobody else does: the standby cluster has an etcd of its own, which knows nothing of the other one
(Patroni docs, standby cluster). So nothing but the operator keeps the old primary from leading on.
As a procedure for this demands, Patroni is kept down on the members of the cluster that led, before
and after they get their power back; with ``fence = false`` it is not, and if the old primary lives
there are two.

Undone, the cluster that led before is built anew as the standby cluster of the promoted one: its
keys in its etcd and its data are deleted, and its members are copied from the new primary. What
they alone had is gone by that.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.process import POSTGRES
from chaos.faults.targets import Victim
from chaos.wording import joined
from cluster import maintenance
from cluster.errors import ClusterError, PatroniError
from cluster.etcd import admin
from cluster.patroni import config as patroni
from cluster.raised import POLL_S, RaisedCluster
from cluster.substrates.base import DiskEditable, Haltable, Killable, ProcessKillable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology
from cluster.whole import PRIMARY_ROLES, standby_leaders

KEY = "promote-standby"
LEADER_TIMEOUT_S = 30.0
"""A standby leader that was just lost is replaced after its ttl, by its own etcd."""
PROMOTE_TIMEOUT_S = 60.0
"""``loop_wait``, and the end of recovery, on a machine that may be busy."""
STOP_TIMEOUT_S = 20.0
"""For Patroni to stop PostgreSQL. A primary waits for replicas that it does not reach; it is killed
then."""
ERASE = 'rm -rf "$1" && test ! -e "$1"'


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteStandbyParams(FaultParams):
    """Whether the operator makes sure of the old primary."""

    fence: bool | None = None
    """None, true: Patroni stays down on the members of the cluster that led."""


def read(table: TomlTable) -> PromoteStandbyParams:
    """``fence``."""
    return PromoteStandbyParams(fence=table.flag("fence") if table.has("fence") else None)


async def promote(stage: Stage, victim: Victim, params: PromoteStandbyParams) -> str:
    """``PATCH /config`` at the standby leader. Proof: it leads, on a new timeline."""
    cluster = stage.cluster
    standby = cluster.substrate.topology.standby
    assert standby is not None
    if cluster.is_promoted:
        raise PatroniError("the standby cluster was promoted already")
    begin_s = time.monotonic()
    led = cluster.leading.nodes
    if params.fence is not False:
        await _fence(stage, cluster.leading)
    leader = await _standby_leader(cluster, standby)
    before = await cluster.rest[leader].member()
    if before is None:
        raise PatroniError(f"{leader}, the standby leader, does not answer")
    if not await cluster.rest[leader].patch_configuration({"standby_cluster": None}):
        raise PatroniError(f"{leader} refused the change of the configuration")
    cluster.promoted()
    after: int | None = None

    async def leads() -> bool:
        nonlocal after
        member = await cluster.rest[leader].member()
        if member is None or member.role not in PRIMARY_ROLES or member.state != "running":
            return False
        after = member.timeline
        return after not in (None, before.timeline)

    otherwise = f"{leader}, which led the standby cluster, is no primary on a new timeline"
    await maintenance.wait_for(leads, otherwise, timeout_s=PROMOTE_TIMEOUT_S)
    took_s = time.monotonic() - begin_s
    words = f"{leader} was promoted by hand within {took_s:.1f} s, from timeline {before.timeline}"
    words += f" to {after}"
    if params.fence is False:
        return f"{words}; nobody looked after the old primary"
    return f"{words}; Patroni stays down on {joined(led)}"


async def _fence(stage: Stage, led: Topology) -> None:
    """End Patroni and PostgreSQL where they run, and start them no more."""
    stage.cluster.retire(led.nodes)
    async with anyio.create_task_group() as ends:
        for node in led.nodes:
            if stage.able(Killable).has_power(node):
                ends.start_soon(_end, stage, node)


async def _end(stage: Stage, node: str) -> None:
    """Patroni stops PostgreSQL with itself; what is left after a while is killed."""
    substrate = stage.cluster.substrate
    if stage.able(Haltable).runs_unit(node, patroni.UNIT):
        await substrate.stop_unit(node, patroni.UNIT, timeout_s=STOP_TIMEOUT_S)
    with suppress(ClusterError):  # none runs
        await stage.able(ProcessKillable).kill_process(node, POSTGRES, signal.SIGKILL)


async def _standby_leader(cluster: RaisedCluster, standby: Topology) -> str:
    """Who leads the standby cluster; an election is waited for."""
    with anyio.move_on_after(LEADER_TIMEOUT_S):
        while True:
            members = await cluster.members()
            leaders = standby_leaders({node: members[node] for node in standby.nodes})
            if len(leaders) == 1:
                return leaders[0]
            await anyio.sleep(POLL_S)
    raise PatroniError("the standby cluster has no standby leader that could be promoted")


async def build_standby(stage: Stage, victim: Victim, params: PromoteStandbyParams) -> str:
    """Delete what the cluster that led has, and let it follow the promoted one.

    Hosts of it that have no power yet get it here: nobody else may start their Patroni before.
    """
    cluster, topology = stage.cluster, stage.cluster.substrate.topology
    left = topology.main
    if not cluster.is_promoted:
        return await _release(stage, left)
    if cluster.following is not None:
        return "the old cluster stands by already"
    await _fence(stage, left)
    machine = stage.able(Killable)
    for host in [one.name for one in left.hosts if not machine.has_power(one.name)]:
        await machine.start_host(host)
        await cluster.start_services(host, only="etcd")
    leader = await maintenance.wait_primary(cluster, timeout_s=PROMOTE_TIMEOUT_S)
    if not await cluster.rest[leader].patch_configuration({"slots": patroni.SLOTS_FOR_STANDBY}):
        raise PatroniError(f"{leader} refused a slot for the old cluster")
    prefix = f"{patroni.NAMESPACE}{left.cluster.scope}/"
    await admin.delete_keys(cluster.etcd, [one.name for one in left.hosts_with("etcd")], prefix)
    for node in left.nodes:
        folder = str(cluster.substrate.data_folder(node) / "pgdata")
        await stage.able(DiskEditable).edit_disk(node, ("sh", "-c", ERASE, "sh", folder))
    cluster.follow_promoted()
    for node in left.nodes:
        await cluster.start_services(node, only="postgres")
    return f"{joined(left.nodes)} built anew as the standby cluster of the promoted one"


async def _release(stage: Stage, left: Topology) -> str:
    """Nothing was promoted: who was kept down for it is started again."""
    cluster = stage.cluster
    cluster.retire(())
    for node in left.nodes:
        runs = stage.able(Haltable).runs_unit(node, patroni.UNIT)
        if stage.able(Killable).has_power(node) and not runs:
            await cluster.start_services(node, only="postgres")
    return "nothing was promoted"


def has_no_standby(
    params: PromoteStandbyParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """Only a standby cluster can be promoted."""
    if topology.standby is None:
        return (
            f"{KEY} needs a standby cluster (a site with standby = true): the topology "
            f"{topology.name} has none"
        )
    return None


PROMOTE_STANDBY = FaultKind(
    key=KEY,
    words=FaultWords(
        title="standby cluster promoted",
        healed="old cluster stands by",
        noun=lambda _: "the promotion of the standby cluster by hand",
        clause=lambda _: "the standby cluster was promoted by hand",
        broken=lambda _: "the standby cluster leads, and has none itself",
    ),
    params=PromoteStandbyParams,
    read=read,
    takes=("cluster",),
    needs=(Killable, Haltable, ProcessKillable, DiskEditable),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=promote,
    undo=build_standby,
    draw=None,  # it may lose what was acknowledged, and it is meant to
    impossible=has_no_standby,
)
