"""A raised Patroni cluster: what its members say, and what may be asked of it. No SQL."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from cluster.errors import ClusterError
from cluster.etcd import EtcdRest
from cluster.patroni import Credentials
from cluster.rest import HistoryEntry, MemberAnswer, PatroniRest
from cluster.services import Services
from cluster.substrate import Substrate
from cluster.topology.model import Role

PRIMARY_ROLES = ("primary", "master", "leader")
STREAMING = "streaming"
SYNC_STATES = ("quorum", "sync")
POLL_S = 0.1
LOOK_TIMEOUT_S = 0.4
"""A member that is starting PostgreSQL may not answer for seconds; the others are not to wait."""


class PatroniCluster:
    """The members of one cluster on a substrate.

    Args:
        substrate: where it runs.
        services: start its processes.
    """

    def __init__(self, substrate: Substrate, services: Services) -> None:
        self.substrate = substrate
        self._services = services
        self.rest: Mapping[str, PatroniRest] = {
            node: PatroniRest(node, substrate.console) for node in substrate.topology.nodes
        }
        self.etcd = EtcdRest(substrate.console)

    @property
    def credentials(self) -> Credentials:
        """Its passwords."""
        return self._services.credentials

    async def members(self) -> dict[str, MemberAnswer | None]:
        """What every member says, asked at once; None for those that do not answer."""
        answers: dict[str, MemberAnswer | None] = {}

        async def ask(node: str) -> None:
            answers[node] = await self.rest[node].member(timeout_s=LOOK_TIMEOUT_S)

        async with anyio.create_task_group() as questions:
            for node in self.rest:
                questions.start_soon(ask, node)
        return {node: answers[node] for node in self.rest}

    async def primary(self) -> str | None:
        """The running primary, None while there is none."""
        return find_primary(await self.members())

    async def start_services(self, host: str, only: Role | None = None) -> tuple[str, ...]:
        """Start what belongs on a host, etcd before Patroni, from its kept configuration.

        Args:
            host: whose processes.
            only: start just what this role needs.

        Returns:
            The names of the units that were started; they may not be ready yet.
        """
        return await self._services.start(host, only)

    async def missing_of_whole(
        self, members: Mapping[str, MemberAnswer | None] | None = None
    ) -> str | None:
        """What the cluster lacks to be whole, in words; None when it is: one primary, every replica
        streams from it on its timeline, the durability asked for is in force, and every member of
        etcd is healthy.

        Args:
            members: what they have just said; None: they are asked.
        """
        found = await self.members() if members is None else members
        return await self._missing_of_patroni(found) or await self._missing_of_etcd()

    async def _missing_of_patroni(self, members: Mapping[str, MemberAnswer | None]) -> str | None:
        topology = self.substrate.topology
        shortfall = missing_of_members(members, synchronous=topology.cluster.durability == "quorum")
        if shortfall is not None:
            return shortfall
        if topology.cluster.durability != "quorum":
            return None
        # The sync key names who may be promoted; ``GET /cluster`` shows it as the members' roles.
        primary = find_primary(members)
        assert primary is not None
        view = await self.rest[primary].cluster()
        standbys = [] if view is None else [m for m in view.members if m.role.endswith("_standby")]
        if len(standbys) < len(topology.nodes) - 1:
            return f"{len(standbys)} of {len(topology.nodes) - 1} replicas are in the sync key"
        return None

    async def _missing_of_etcd(self) -> str | None:
        healthy: dict[str, bool] = {}

        async def ask(host: str) -> None:
            healthy[host] = await self.etcd.is_healthy(host, timeout_s=LOOK_TIMEOUT_S)

        hosts = [host.name for host in self.substrate.topology.hosts_with("etcd")]
        async with anyio.create_task_group() as questions:
            for host in hosts:
                questions.start_soon(ask, host)
        sick = [host for host in hosts if not healthy[host]]
        return f"etcd is not healthy on {', '.join(sick)}" if sick else None

    async def wait_whole(self, *, timeout_s: float) -> str | None:
        """Wait until the cluster is whole; None, or what it lacked when the time was up."""
        missing: str | None = "it was never asked"
        with anyio.move_on_after(timeout_s):
            while (missing := await self.missing_of_whole()) is not None:
                await anyio.sleep(POLL_S)
        return missing

    async def history(self) -> tuple[HistoryEntry, ...]:
        """The timelines that have ended, oldest first, from the first member that answers.

        Raises:
            ClusterError: nobody answers.
        """
        for rest in self.rest.values():
            history = await rest.history()
            if history is not None:
                return history
        raise ClusterError("no member answers GET /history")

    async def switchover(self, leader: str, *, timeout_s: float) -> str:
        """Hand the primary role from ``leader`` to another member, as planned; Patroni's words.

        Raises:
            PatroniError: it was refused, or took longer than ``timeout_s``.
        """
        return await self.rest[leader].switchover(leader, None, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Close the connections to the members."""
        await self.etcd.aclose()
        for rest in self.rest.values():
            await rest.aclose()


def find_primary(members: Mapping[str, MemberAnswer | None]) -> str | None:
    """The member that runs as primary; None when there is none, or more than one."""
    primaries = [
        node
        for node, member in members.items()
        if member is not None and member.role in PRIMARY_ROLES and member.state == "running"
    ]
    return primaries[0] if len(primaries) == 1 else None


def missing_of_members(
    members: Mapping[str, MemberAnswer | None], *, synchronous: bool
) -> str | None:
    """What ``members`` lack to be a whole cluster, in words; None when nothing is missing.

    Args:
        members: every member's answer.
        synchronous: replicas must be counted in the primary's synchronous_standby_names.
    """
    silent = [node for node, member in members.items() if member is None]
    if silent:
        return f"no answer from {', '.join(silent)}"
    primary = find_primary(members)
    if primary is None:
        return "there is no primary"
    leader = members[primary]
    assert leader is not None
    streaming = {
        row.application_name: row.sync_state for row in leader.replication if row.state == STREAMING
    }
    for node, member in members.items():
        if node == primary or member is None:
            continue
        if node not in streaming:
            return f"{node} does not stream from {primary} ({member.state})"
        if member.timeline != leader.timeline:
            return f"{node} is on timeline {member.timeline}, the primary on {leader.timeline}"
        if synchronous and streaming[node] not in SYNC_STATES:
            return f"{node} streams, but {primary} does not count it as synchronous yet"
    return None
