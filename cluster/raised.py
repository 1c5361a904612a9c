"""A raised Patroni cluster: what its members say, and what may be asked of it. No SQL."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping

import anyio

from cluster.errors import ClusterError
from cluster.etcd import admin
from cluster.etcd.member import EtcdRest
from cluster.etcd.users import root_login
from cluster.patroni.config import SUPERUSER, Passwords
from cluster.patroni.rest import HistoryEntry, MemberAnswer, PatroniRest
from cluster.proxies import pgbouncer
from cluster.services import Services
from cluster.substrates.base import Process, ProcessKillable, Substrate
from cluster.topology.model import HostRole, Topology
from cluster.whole import (
    Look,
    behind_bytes_max,
    find_primary,
    missing_of_standby,
    missing_of_whole,
    named_ahead,
    nodes_behind,
)

POLL_S = 0.1
DCS_ELECTION_S = 5.0
"""For who leads etcd: its election timeout is 1 s, and an election may have to be repeated."""
LOOK_TIMEOUT_S = 0.4
LOOK_TIMEOUT_S_OF_NODE = 0.04
"""A member that is starting PostgreSQL may not answer for seconds; the others are not to wait. Many
members share the machine: beyond 10 they are given longer."""


class RaisedCluster:
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
        has_users = substrate.topology.cluster.etcd_auth
        self.etcd_login = root_login(services.credentials) if has_users else None
        """Who an operator is to its etcd; None where that has no users."""
        self.etcd = EtcdRest(substrate.console, self.etcd_login)
        self._companions: dict[str, Process] = {}
        self.leading: Topology = substrate.topology.main
        """The cluster that is to have the primary: another one once the standby cluster was
        promoted."""
        self.following: Topology | None = substrate.topology.standby
        """The standby cluster of it; None: there is none, or it was left behind by a promotion."""
        self._retired: frozenset[str] = frozenset()

    @property
    def credentials(self) -> Passwords:
        """Its passwords."""
        return self._services.credentials

    async def members(self) -> dict[str, MemberAnswer | None]:
        """What every member says, asked at once; None for those that do not answer."""
        answers: dict[str, MemberAnswer | None] = {}
        timeout_s = max(LOOK_TIMEOUT_S, LOOK_TIMEOUT_S_OF_NODE * len(self.rest))

        async def ask(node: str) -> None:
            answers[node] = await self.rest[node].member(timeout_s=timeout_s)

        async with anyio.create_task_group() as questions:
            for node in self.rest:
                questions.start_soon(ask, node)
        return {node: answers[node] for node in self.rest}

    async def primary(self) -> str | None:
        """The running primary, None while there is none."""
        return find_primary(await self.members())

    @property
    def dcs_hosts(self) -> tuple[str, ...]:
        """The hosts with the etcd of the cluster that leads."""
        return tuple(host.name for host in self.leading.hosts_with("etcd"))

    async def dcs_leader(self) -> str | None:
        """The host whose etcd leads; an election is waited for. None: there is none."""
        leader: str | None = None
        with anyio.move_on_after(DCS_ELECTION_S):
            while (leader := await admin.leader(self.etcd, self.dcs_hosts)) is None:
                await anyio.sleep(POLL_S)
        return leader

    async def start_services(self, host: str, only: HostRole | None = None) -> tuple[str, ...]:
        """Start what belongs on a host, etcd before Patroni, from its kept configuration.

        Args:
            host: whose processes.
            only: start just what this role needs.

        Returns:
            The names of the units that were started; they may not be ready yet.
        """
        if host in self._retired:
            if only == "postgres":
                return ()
            only = "etcd"
        started = await self._services.start(host, only)
        companion = self._companions.get(host)
        if only is not None or companion is None:
            return started
        await self.substrate.start_unit(host, companion)
        return (*started, companion.name)

    def forget_etcd(self) -> None:
        """Every member of etcd has lost its data: they make a new cluster when they start again."""
        self._services.forget_etcd()

    @property
    def is_promoted(self) -> bool:
        """The standby cluster was promoted: the other one's etcd says no more who leads."""
        return self.leading.nodes != self.substrate.topology.main.nodes

    def promoted(self) -> None:
        """The standby cluster was promoted: it is the one that leads, and none follows it."""
        standby = self.substrate.topology.standby
        assert standby is not None
        self.leading, self.following = standby, None

    def retire(self, hosts: Collection[str]) -> None:
        """From now on Patroni is not started on these hosts; none: on every host again."""
        self._retired = frozenset(hosts)

    def follow_promoted(self) -> None:
        """The cluster that led before is made a standby cluster of the promoted one: members that
        make it anew get their configuration for that."""
        swapped = self.substrate.topology.swapped()
        self._services.reconfigure(swapped)
        self.following = swapped.standby
        self.retire(())

    async def configure(
        self, host: str, role: HostRole, changes: Mapping[str, object | None]
    ) -> None:
        """Change the kept configuration of a service on a host (``Services.configure``)."""
        await self._services.configure(host, role, changes)

    async def start_companion(self, host: str, process: Process) -> None:
        """Start a process beside the cluster's on a host, now and whenever the host starts again.

        Args:
            host: with none so far.
            process: no part of the cluster.
        """
        self._companions[host] = process
        await self.substrate.start_unit(host, process)

    async def admit_through_proxies(self, users: Mapping[str, str]) -> None:
        """Let users in through every PgBouncer, beside the superuser; none is there: no effect.

        Args:
            users: passwords by user.

        Raises:
            ClusterError: one of them could not be told.
        """
        everybody = {SUPERUSER: self.credentials.superuser, **users}
        substrate = self.substrate
        for host in substrate.topology.hosts_with("pgbouncer"):
            await pgbouncer.write_users(substrate, host.name, everybody)
            if isinstance(substrate, ProcessKillable):
                await substrate.kill_process(host.name, pgbouncer.UNIT, signal.SIGHUP)

    async def missing_of_whole(
        self, members: Mapping[str, MemberAnswer | None] | None = None
    ) -> str | None:
        """What the cluster lacks to be whole, in words; None when it is (``cluster.whole``).

        Args:
            members: what they have just said; None: they are asked.
        """
        topology, standby = self.leading, self.following
        found = dict(await self.members() if members is None else members)
        sync_key: frozenset[str] | None = None
        counting = (topology, *([standby] if standby else []))
        etcd = {host.name: False for one in counting for host in one.hosts_with("etcd")}
        allowed_bytes = behind_bytes_max(topology.cluster)

        async def ask_again(node: str) -> None:
            found[node] = await self.rest[node].member(timeout_s=LOOK_TIMEOUT_S)

        async def ask_sync_key(primary: str) -> None:
            nonlocal sync_key
            sync_key = await self._sync_key(primary)

        async def ask_etcd(host: str) -> None:
            etcd[host] = await self.etcd.is_healthy(host, timeout_s=LOOK_TIMEOUT_S)

        async with anyio.create_task_group() as questions:
            for node in nodes_behind(found, allowed_bytes):
                questions.start_soon(ask_again, node)
            primary = find_primary(found)
            if primary is not None and topology.cluster.durability == "quorum":
                questions.start_soon(ask_sync_key, primary)
            for host in etcd:
                questions.start_soon(ask_etcd, host)
        look = Look(
            members={node: found[node] for node in topology.nodes},
            sync_key=sync_key,
            etcd={host.name: etcd[host.name] for host in topology.hosts_with("etcd")},
        )
        missing = missing_of_whole(look, topology.cluster, topology.tags)
        if missing is not None or standby is None:
            return missing
        own = {host.name: etcd[host.name] for host in standby.hosts_with("etcd")}
        return missing_of_standby(found, standby.nodes, own, allowed_bytes)

    async def named_ahead(self) -> set[str]:
        """The standbys that the primary counts, and the sync key does not name yet."""
        members = await self.members()
        primary = find_primary(members)
        return set() if primary is None else named_ahead(members, await self._sync_key(primary))

    async def _sync_key(self, primary: str) -> frozenset[str] | None:
        """The standbys in the sync key: ``GET /cluster`` shows it as the members' roles."""
        view = await self.rest[primary].cluster()
        if view is None:
            return None
        return frozenset(one.name for one in view.members if one.role.endswith("_standby"))

    async def wait_whole(self, *, timeout_s: float) -> str | None:
        """Wait until the cluster is whole; None, or what it lacked when the time was up."""
        missing: str | None = "it was never asked"
        with anyio.move_on_after(timeout_s):
            while (missing := await self.missing_of_whole()) is not None:
                await anyio.sleep(POLL_S)
        return missing

    async def wait_primary(self, *, timeout_s: float) -> str | None:
        """Wait until there is a running primary; None: there was none when the time was up. One
        look is not enough on a busy machine, where an answer may come too late for it."""
        primary: str | None = None
        with anyio.move_on_after(timeout_s):
            while (primary := await self.primary()) is None:
                await anyio.sleep(POLL_S)
        return primary

    async def history(self) -> tuple[HistoryEntry, ...]:
        """The timelines that have ended, oldest first, from the member that knows most of them.

        Raises:
            ClusterError: no member answers.
        """
        answers = [await rest.history() for rest in self.rest.values()]
        found = [answer for answer in answers if answer is not None]
        if not found:
            raise ClusterError("no member answers GET /history")
        return max(found, key=len)

    async def history_up_to(self, timeline: int, *, timeout_s: float) -> tuple[HistoryEntry, ...]:
        """``history``, once it has the end of the timeline before ``timeline``, or after so long.

        A primary that was just promoted writes that end into the DCS in a later loop, and the
        others answer from what they read in their last one.

        Raises:
            ClusterError: no member answers.
        """
        with anyio.move_on_after(timeout_s):
            while True:
                found = await self.history()
                if timeline <= 1 or any(entry.timeline == timeline - 1 for entry in found):
                    return found
                await anyio.sleep(POLL_S)
        return await self.history()

    async def switchover(
        self, leader: str, candidate: str | None = None, *, timeout_s: float
    ) -> str:
        """Hand the primary role from ``leader`` to ``candidate``, as planned; Patroni's words.

        None: to the member that Patroni prefers.

        Raises:
            PatroniError: it was refused, or took longer than ``timeout_s``.
        """
        return await self.rest[leader].switchover(leader, candidate, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Close the connections to the members."""
        await self.etcd.aclose()
        for rest in self.rest.values():
            await rest.aclose()
