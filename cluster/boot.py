"""Raises a Patroni cluster on a substrate, phase by phase, quickly and without cheating.

Patroni looks at its cluster every ``loop_wait`` seconds, and needs several looks until quorum
commit is in force: with the default of 10 s that alone takes half a minute. So the cluster is
raised with ``loop_wait`` 1, and the primary is asked to look at once (``PATCH /config`` has that
effect, changed or not). When everything is in force, the settings that were asked for are set, the
ordinary way, and read back. Every step is one that Patroni takes by itself
(docs/decisions/0005-quick-boot.md).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import httpcore

from cluster.binaries import Binaries
from cluster.errors import BootError
from cluster.etcd import users
from cluster.logs import log_causes, log_tail
from cluster.patroni import config
from cluster.patroni.config import BOOT_LOOP_WAIT_S
from cluster.proxies import haproxy, pgbouncer
from cluster.raised import POLL_S, RaisedCluster
from cluster.services import Services, StepReport, UnitServices
from cluster.substrates.base import ProcessExit, Substrate
from cluster.topology.model import HostRole, Topology
from cluster.topology.tags import streams_from
from cluster.whole import (
    STREAMING,
    counted_by,
    find_primary,
    missing_of_members,
    standby_leaders,
    standbys,
    standbys_needed,
)

STEP_TIMEOUT_S = 60.0
STEP_TIMEOUT_S_OF_NODE = 6.0
"""Each step takes seconds (measured: 0.5 s a server on two cores); more means that it hangs."""
NUDGE_S = 0.1


async def raise_cluster(
    substrate: Substrate,
    binaries: Binaries,
    *,
    config_folder: Path,
    logs: Path,
    done: StepReport,
) -> RaisedCluster:
    """Raise a cluster of processes: ``raise_services`` with ``UnitServices``.

    Args:
        substrate: has the hosts, up and without processes.
        binaries: the programs to run.
        config_folder: where the generated configuration is kept.
        logs: where the substrate writes the processes' logs, for the words of an error.
        done: told of each finished step.

    Raises:
        BootError: a step did not end in time; says what was missing, and what the
            logs give as its cause.
    """
    services = UnitServices(substrate, binaries, config_folder)
    return await raise_services(substrate, services, logs=logs, done=done)


async def raise_services(
    substrate: Substrate, services: Services, *, logs: Path, done: StepReport
) -> RaisedCluster:
    """Start etcd and Patroni on the substrate's hosts and wait until the data is protected.

    Args:
        substrate: has the hosts, without processes of the cluster.
        services: start them.
        logs: where the processes' logs are written, for the words of an error.
        done: told of each finished step.

    Raises:
        BootError: a step did not end in time; says what was missing, and what the
            logs give as its cause.
    """
    cluster = RaisedCluster(substrate, services)
    timeout_s = max(STEP_TIMEOUT_S, STEP_TIMEOUT_S_OF_NODE * len(substrate.topology.nodes))
    step = partial(_step, logs, timeout_s)
    with step("the DCS has no quorum"):
        # Patroni loads while etcd elects; it waits for etcd by itself. Users are there before it.
        main, standby = cluster.leading, cluster.following
        has_users = main.cluster.etcd_auth
        if has_users:
            await _start_etcd(cluster, main)
        async with anyio.create_task_group() as starts:
            for host in main.hosts_with("postgres"):
                starts.start_soon(cluster.start_services, host.name, "postgres")
            if not has_users:
                await _start_etcd(cluster, main)
            if standby is not None:
                await _start_etcd(cluster, standby)
    done("dcs")
    with step("no primary came up"):
        primary = await _wait_primary(cluster)
    done("primary")
    if standby is not None:  # it copies the primary while the replicas do
        for host in standby.hosts_with("postgres"):
            await cluster.start_services(host.name, "postgres")
    with step("the replicas do not stream"):
        await _nudge_until(cluster, primary, lambda: _streaming(cluster, primary))
    done("replicas")
    with step("the durability asked for is not in force"):
        await _nudge_until(cluster, primary, lambda: _counts_replicas(cluster, primary))
        if standby is not None:
            await _set_loop_wait_of_standby(cluster, standby)
        await _set_loop_wait(cluster, primary)
    with step("the proxies do not listen"):
        await _start_proxies(cluster)
    done("protected")
    return cluster


async def _start_etcd(cluster: RaisedCluster, topology: Topology) -> None:
    """Start the members of a cluster's etcd, wait until each says that it is healthy (it knows a
    leader), and make its users, where it has some.

    The first one goes ahead: a new member asks its peers whether the cluster exists already, and
    one that is listening but not serving yet makes it wait for a second.
    """
    first, *others = topology.hosts_with("etcd")
    await cluster.start_services(first.name, only="etcd")
    while not await cluster.etcd.has_members(first.name):
        await anyio.sleep(POLL_S / 5)
    async with anyio.create_task_group() as starts:
        for host in others:
            starts.start_soon(cluster.start_services, host.name, "etcd")
    for host in (first, *others):
        while not await cluster.etcd.is_healthy(host.name):
            await anyio.sleep(POLL_S / 2)
    if topology.cluster.etcd_auth:
        accounts = users.users_of(topology.cluster, cluster.credentials)
        await users.enable(cluster.etcd, first.name, accounts)


async def _start_proxies(cluster: RaisedCluster) -> None:
    """Start HAProxy and then PgBouncer, and wait until each listens: its first questions find a
    primary."""
    substrate = cluster.substrate
    for host in substrate.topology.hosts_with("pgbouncer"):
        users = {config.SUPERUSER: cluster.credentials.superuser}
        await pgbouncer.write_users(substrate, host.name, users)
    ports: dict[HostRole, int] = {"haproxy": haproxy.PRIMARY_PORT, "pgbouncer": pgbouncer.PORT}
    for role, port in ports.items():
        hosts = substrate.topology.hosts_with(role)
        async with anyio.create_task_group() as starts:
            for host in hosts:
                starts.start_soon(cluster.start_services, host.name, role)
        for host in hosts:
            await _wait_listening(substrate, host.name, port)


async def _wait_listening(substrate: Substrate, host: str, port: int) -> None:
    while True:
        try:
            stream = await substrate.console.connect_tcp(host, port, timeout=POLL_S * 10)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            await anyio.sleep(POLL_S)
        else:
            await stream.aclose()
            return


async def _wait_primary(cluster: RaisedCluster) -> str:
    """Ask etcd for the holder of the leader key, and only that member for its role.

    The others are still starting: an answer costs each of them a query, 20 times a second.
    """
    topology = cluster.leading
    key = config.leader_key(topology.cluster.scope)
    witness = topology.hosts_with("etcd")[0].name
    while True:
        holder = await cluster.etcd.value(witness, key)
        if holder is not None and holder in cluster.rest:
            member = await cluster.rest[holder].member()
            if find_primary({holder: member}) is not None:
                return holder
        await anyio.sleep(POLL_S / 2)


async def _streaming(cluster: RaisedCluster, primary: str) -> bool:
    """Every replica streams that should from the primary, says that; only then are all asked."""
    tags = cluster.leading.tags
    member = await cluster.rest[primary].member()
    rows = () if member is None else member.replication
    streaming = {row.application_name for row in rows if row.state == STREAMING}
    nodes = frozenset(cluster.leading.nodes)
    directly = {node for node in nodes if streams_from(tags, node, primary, nodes) == primary}
    if not streaming >= directly - {primary}:
        return False
    members = await cluster.members()
    return missing_of_members({node: members[node] for node in nodes}, tags) is None


async def _counts_replicas(cluster: RaisedCluster, primary: str) -> bool:
    """The primary counts the replicas as synchronous that its tags leave to it.

    Patroni begins to name them ``loop_wait`` seconds after a promotion (``patroni/ha.py``,
    ``process_sync_replication``): up to here that has to be the second of the boot.
    """
    topology = cluster.leading
    nodes = frozenset(topology.nodes)
    counting = standbys(topology.cluster, topology.tags, primary, nodes)
    needed = standbys_needed(topology.cluster, topology.tags, primary, nodes)
    if not needed:
        return True
    member = await cluster.rest[primary].member()
    counted = set() if member is None else counted_by(member)
    return len(counting & counted) >= needed


async def _nudge_until(
    cluster: RaisedCluster,
    primary: str,
    condition: Callable[[], Awaitable[bool]],
    settings: Mapping[str, object] | None = None,
) -> None:
    """Wait for a condition, asking the primary to look again meanwhile.

    Args:
        settings: what is asked for with each nudge; those of the boot if None.
    """
    asked: dict[str, object] = {"loop_wait": BOOT_LOOP_WAIT_S, **(settings or {})}
    nudged_s = 0.0
    while not await condition():
        if time.monotonic() - nudged_s > NUDGE_S:
            await cluster.rest[primary].patch_configuration(asked)
            nudged_s = time.monotonic()
        await anyio.sleep(POLL_S / 4)


async def _set_loop_wait(cluster: RaisedCluster, primary: str) -> None:
    """Put the topology's own settings in force, and read them back when the cluster is whole."""
    wanted = config.dynamic_settings(cluster.substrate.topology.cluster)

    async def is_whole() -> bool:
        found = await cluster.rest[primary].configuration()
        in_force = found is not None and found.loop_wait == wanted["loop_wait"]
        return in_force and await cluster.missing_of_whole() is None

    await _nudge_until(cluster, primary, is_whole, wanted)


async def _set_loop_wait_of_standby(cluster: RaisedCluster, standby: Topology) -> None:
    """Put the topology's own settings in force in the standby cluster, once somebody leads it."""
    wanted = config.dynamic_settings(standby.cluster)
    while True:
        members = await cluster.members()
        leaders = standby_leaders({node: members[node] for node in standby.nodes})
        if leaders:
            await cluster.rest[leaders[0]].patch_configuration(wanted)
            found = await cluster.rest[leaders[0]].configuration()
            if found is not None and found.loop_wait == wanted["loop_wait"]:
                return
        await anyio.sleep(POLL_S)


@contextmanager
def _step(logs: Path, timeout_s: float, failure: str) -> Iterator[None]:
    """Give a step its deadline, and its failure the words of the logs."""
    try:
        with anyio.fail_after(timeout_s):
            yield
    except TimeoutError as error:
        words = f"{failure} after {timeout_s:.0f} s; the logs say:"
        raise BootError(f"{words}\n{log_causes(sorted(logs.glob('*.log')))}") from error


class BootWatch:
    """Ends a boot as soon as a process of the cluster dies: it cannot succeed.

    Made and used in one event loop.

    Args:
        logs: where the substrate writes the processes' logs, for the words of the error.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._booting = anyio.CancelScope()
        self._died: ProcessExit | None = None
        self._is_over = False

    def unit_exited(self, unit: ProcessExit) -> None:
        """Call this for every process that ends; no effect once the boot is over."""
        if not self._is_over and not unit.expected:
            self._died = unit
            self._booting.cancel()

    async def boot(self, raising: Awaitable[RaisedCluster]) -> RaisedCluster:
        """The cluster that ``raising`` raises.

        Raises:
            BootError: of ``raising``; or a process died meanwhile, with the tail of its log.
        """
        with self._booting:
            cluster = await raising
            self._is_over = True
            return cluster
        # A stop of the whole drill takes the processes down with it: then that is the reason.
        await anyio.lowlevel.checkpoint()
        died = self._died
        assert died is not None
        tail = log_tail(self._logs / f"{died.host}.{died.unit}.log")
        words = f"{died.unit} on {died.host} ended with {died.status} while the cluster was raised"
        raise BootError(f"{words}\n{tail}", host=died.host)
