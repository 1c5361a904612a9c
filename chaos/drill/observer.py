"""Watches the cluster while it is broken: who is what, who holds the leader key, on which timeline.

Looks at the members over their consoles, so that a member whose link is cut is still seen, and
follows the DCS. Every change becomes an event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import anyio

from chaos.drill.recorder import Recorder
from chaos.evidence.events import LeaderSeen, RoleSeen, SyncKeySeen
from chaos.live.board import NodeBoard
from cluster.etcd.keys import DcsChange, LeaderKey, follow
from cluster.patroni.rest import MemberAnswer, PatroniRest
from cluster.raised import RaisedCluster
from cluster.whole import PRIMARY_ROLES

LOOK_INTERVAL_S = 0.1
"""How exactly the moment of a promotion is known. A look costs a member some milliseconds."""

RUNNING = ("running", "streaming", "in archive recovery")
"""Patroni's states of a PostgreSQL that is at work (patroni/postgresql/misc.py)."""


def describe(member: MemberAnswer | None) -> NodeBoard:
    """What a member's answer says of its role."""
    if member is None:
        return NodeBoard(role="unreachable")
    sync = "quorum" if member.quorum_standby else "sync" if member.sync_standby else None
    if member.state not in RUNNING:
        return NodeBoard(role="starting", timeline=member.timeline)
    if member.role in PRIMARY_ROLES:
        return NodeBoard(role="primary", timeline=member.timeline)
    return NodeBoard(role="replica", timeline=member.timeline, sync=sync or "async")


class ClusterObserver:
    """Follows one cluster until cancelled."""

    def __init__(self, cluster: RaisedCluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._nodes: dict[str, NodeBoard] = recorder.board.nodes

    @property
    def nodes(self) -> Mapping[str, NodeBoard]:
        """Every member as last seen."""
        return self._nodes

    async def run(self) -> None:
        """Watch every member, and the DCS, until cancelled."""
        topology = self._cluster.substrate.topology
        etcd_hosts = [host.name for host in topology.main.hosts_with("etcd")]
        async with anyio.create_task_group() as watchers:
            for node, rest in self._cluster.rest.items():
                watchers.start_soon(self._watch_member, node, rest)
            report: Callable[[DcsChange], None] = self._dcs_changed
            console = self._cluster.substrate.console
            login = self._cluster.etcd_login
            watchers.start_soon(follow, console, etcd_hosts, topology.cluster.scope, report, login)

    async def _watch_member(self, node: str, rest: PatroniRest) -> None:
        while True:
            now = describe(await rest.member())
            before = self._nodes.get(node)
            if now != before:
                self._nodes[node] = now
                self._recorder.event(
                    RoleSeen(
                        t_s=time.monotonic(),
                        node=node,
                        role=now.role,
                        timeline=now.timeline,
                        sync=now.sync,
                    )
                )
                self._tell(node, before, now)
            await anyio.sleep(LOOK_INTERVAL_S)

    def _tell(self, node: str, before: NodeBoard | None, now: NodeBoard) -> None:
        if before is None or before.role == now.role:
            return
        became_primary = now.role == "primary"
        timeline = f" on timeline {now.timeline}" if became_primary else ""
        self._recorder.say(f"{node} is {now.role}{timeline}", loud=became_primary)

    def _dcs_changed(self, change: DcsChange) -> None:
        if self._cluster.is_promoted:
            return  # a key of the cluster that was left behind, or stands by now
        if isinstance(change, LeaderKey):
            if change.holder == self._recorder.board.leader:
                return  # the key was written again by its holder
            self._recorder.event(
                LeaderSeen(t_s=change.t_s, holder=change.holder, revision=change.revision)
            )
            self._recorder.board.leader = change.holder
            words = f"leader key: {change.holder}" if change.holder else "leader key gone"
            self._recorder.say(words, loud=change.holder is None)
        else:
            self._recorder.event(
                SyncKeySeen(
                    t_s=change.t_s,
                    leader=change.leader,
                    members=",".join(change.members),
                    quorum=change.quorum,
                    revision=change.revision,
                )
            )
