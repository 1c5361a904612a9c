"""Raises a Patroni cluster on a substrate, phase by phase, quickly and without cheating.

Patroni looks at its cluster every ``loop_wait`` seconds, and needs several looks until quorum
commit is in force: with the default of 10 s that alone takes half a minute. So the cluster is
raised with ``loop_wait`` 1, and the primary is asked to look at once (``PATCH /config`` has that
effect, changed or not). When everything is in force, the settings that were asked for are set, the
ordinary way, and read back. Nothing is done that Patroni would not do by itself
(docs/decisions/0005-quick-boot.md).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio

from cluster import patroni
from cluster.binaries import Binaries
from cluster.cluster import POLL_S, SYNC_STATES, PatroniCluster, missing_of_members
from cluster.errors import BootError
from cluster.patroni import BOOT_LOOP_WAIT_S
from cluster.services import Services, StepReport, UnitServices
from cluster.substrate import Substrate

STEP_TIMEOUT_S = 60.0
"""Each step takes seconds; more means that it hangs."""
NUDGE_S = 0.1
LOG_TAIL_LINES = 8
TRACEBACK = ("  ", "Traceback", "During handling", "multiprocessing.")
"""How the lines of a Python traceback begin: nothing that an operator needs."""


async def raise_cluster(
    substrate: Substrate,
    binaries: Binaries,
    *,
    config_folder: Path,
    logs: Path,
    done: StepReport,
) -> PatroniCluster:
    """Raise a cluster of processes: ``raise_services`` with ``UnitServices``.

    Args:
        substrate: has the hosts, up and without processes.
        binaries: the programs to run.
        config_folder: where the generated configuration is kept.
        logs: where the substrate writes the processes' logs, for the words of an error.
        done: told of each finished step.

    Raises:
        BootError: a step did not end in ``STEP_TIMEOUT_S``; says what was missing, and what the
            logs say.
    """
    services = UnitServices(substrate, binaries, config_folder)
    return await raise_services(substrate, services, logs=logs, done=done)


async def raise_services(
    substrate: Substrate, services: Services, *, logs: Path, done: StepReport
) -> PatroniCluster:
    """Start etcd and Patroni on the substrate's hosts and wait until the data is protected.

    Args:
        substrate: has the hosts, without processes of the cluster.
        services: start them.
        logs: where the processes' logs are written, for the words of an error.
        done: told of each finished step.

    Raises:
        BootError: a step did not end in ``STEP_TIMEOUT_S``; says what was missing, and what the
            logs say.
    """
    cluster = PatroniCluster(substrate, services)
    with _step("the DCS has no quorum", logs):
        # Patroni loads while etcd elects; it waits for etcd by itself.
        async with anyio.create_task_group() as starts:
            for host in substrate.topology.hosts_with("postgres"):
                starts.start_soon(cluster.start_services, host.name, "postgres")
            await _start_etcd(cluster)
    done("dcs")
    with _step("no primary came up", logs):
        while (primary := await cluster.primary()) is None:
            await anyio.sleep(POLL_S / 2)
    done("primary")
    with _step("the replicas do not stream", logs):
        await _nudge_until(cluster, primary, lambda: _streaming(cluster))
    done("replicas")
    with _step("the durability asked for is not in force", logs):
        await _nudge_until(cluster, primary, lambda: _counts_replicas(cluster, primary))
        await _set_loop_wait(cluster, primary)
    done("protected")
    return cluster


async def _start_etcd(cluster: PatroniCluster) -> None:
    """Start etcd's members, and wait until each says that it is healthy (it knows a leader).

    The first one goes ahead: a new member asks its peers whether the cluster exists already, and
    one that is listening but not serving yet makes it wait for a second.
    """
    first, *others = cluster.substrate.topology.hosts_with("etcd")
    await cluster.start_services(first.name, only="etcd")
    while not await cluster.etcd.has_members(first.name):
        await anyio.sleep(POLL_S / 5)
    async with anyio.create_task_group() as starts:
        for host in others:
            starts.start_soon(cluster.start_services, host.name, "etcd")
    for host in (first, *others):
        while not await cluster.etcd.is_healthy(host.name):
            await anyio.sleep(POLL_S / 2)


async def _streaming(cluster: PatroniCluster) -> bool:
    return missing_of_members(await cluster.members(), synchronous=False) is None


async def _counts_replicas(cluster: PatroniCluster, primary: str) -> bool:
    """The primary counts all its replicas as synchronous, if it is to count them at all.

    Patroni begins to name them ``loop_wait`` seconds after a promotion (``patroni/ha.py``,
    ``process_sync_replication``): up to here that has to be the second of the boot.
    """
    topology = cluster.substrate.topology
    if topology.cluster.durability != "quorum":
        return True
    member = await cluster.rest[primary].member()
    rows = () if member is None else member.replication
    counted = {row.application_name for row in rows if row.sync_state in SYNC_STATES}
    return counted == set(topology.nodes) - {primary}


async def _nudge_until(
    cluster: PatroniCluster,
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


async def _set_loop_wait(cluster: PatroniCluster, primary: str) -> None:
    """Put the topology's own settings in force, and read them back when the cluster is whole."""
    wanted = patroni.dynamic_settings(cluster.substrate.topology.cluster)

    async def is_whole() -> bool:
        found = await cluster.rest[primary].configuration()
        in_force = found is not None and found.loop_wait == wanted["loop_wait"]
        return in_force and await cluster.missing_of_whole() is None

    await _nudge_until(cluster, primary, is_whole, wanted)


@contextmanager
def _step(failure: str, logs: Path) -> Iterator[None]:
    """Give a step its deadline, and its failure the words of the logs."""
    try:
        with anyio.fail_after(STEP_TIMEOUT_S):
            yield
    except TimeoutError as error:
        tails = "\n".join(log_tail(path) for path in sorted(logs.glob("*.log")))
        raise BootError(f"{failure} after {STEP_TIMEOUT_S:.0f} s\n{tails}") from error


def log_tail(path: Path) -> str:
    """The last lines of a log that say something, indented below its path."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    telling = [line for line in lines if line.strip() and not line.startswith(TRACEBACK)]
    return "\n".join([f"  {path}:", *(f"    {line}" for line in telling[-LOG_TAIL_LINES:])])
