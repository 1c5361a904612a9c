"""The exporter in a real cluster of three sites: ``python -m support.lab.exporter_lab DIR``.

Run sealed by ``tests/integration/replication/monitoring/exporter/test_lab.py``. A replica's link is
cut and healed, then the primary's host loses its power. Every assertion is on what the exporter
shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import httpcore
from psycopg import sql
from support.monitoring.scrapes import Scrape, scrape, wait_scrape

from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.etcd.member import CLIENT_PORT
from cluster.patroni.config import POSTGRES_PORT, REST_PORT, SUPERUSER
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from cluster.substrates.lab.lab import Lab
from cluster.substrates.relay import relay
from cluster.topology.load import load_builtin
from replication import Credentials
from replication.monitoring.lag import heartbeat_row
from replication.wire import Address, session_to

ROLE, PASSWORD = "bascule_exporter", "exporter-password"
WATCHER = "app-paris"
PORT = 9187
URL = f"http://{WATCHER}:{PORT}"
BEHIND_S = 5.0
WAIT_S = 90.0


async def prepare(cluster: RaisedCluster, primary: str) -> None:
    """The exporter's role, and what ``--setup-sql`` prints."""
    admin = Credentials(user=SUPERUSER, password=cluster.credentials.superuser, dbname="postgres")
    async with relay(cluster.substrate.console, primary, POSTGRES_PORT) as port:
        address = Address(node=primary, host="127.0.0.1", port=port)
        async with session_to(address, admin) as session:
            verifier = sql.Literal(session.scram_verifier(ROLE, PASSWORD))
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            await session.fetch(create.format(sql.Identifier(ROLE), verifier))
            for statement in heartbeat_row.setup_statements(ROLE):
                await session.fetch(statement)


def exporter_unit(lab: Lab) -> Process:
    """The command, as it would be run on a host of its own."""
    topology = lab.topology
    members = [
        f"--member={node}=http://{lab.address(node)}:{REST_PORT},"
        f"{lab.address(node)}:{POSTGRES_PORT},{node.removeprefix('db-')}"
        for node in topology.nodes
    ]
    dcs = [
        f"--dcs=http://{lab.address(host.name)}:{CLIENT_PORT}"
        for host in topology.hosts_with("etcd")
    ]
    command = (sys.executable, "-m", "chaos", "exporter", "--cluster", topology.cluster.scope)
    options = ("--user", ROLE, "--interval", "0.5", "--listen", f"0.0.0.0:{PORT}")
    argv = (*command, *options, *members, *dcs)
    return Process(name="exporter", argv=argv, secrets={"PGPASSWORD": PASSWORD})


def is_whole(page: Scrape) -> bool:
    """One primary, two replicas that are level, a quorum, the DCS."""
    return (
        page.value("bascule_primaries") == page.value("bascule_writable_members") == 1
        and page.values("bascule_replica_lag_seconds") == [0, 0]
        and page.values("bascule_replica_lag_bytes", stage="replay") == [0, 0]
        and page.values("bascule_replica_wal_receiver_up") == [1, 1]
        and page.value("bascule_dcs_has_quorum") == 1
        and page.value("bascule_synchronous_mode") == 1
        and page.value("bascule_sync_standbys") == 2
        and page.value("bascule_sync_standbys_required") == 1
    )


async def story(lab: Lab, cluster: RaisedCluster) -> None:
    network = lab.console

    async def seen(condition: Callable[[Scrape], bool], what: str) -> Scrape:
        return await wait_scrape(URL, condition, what=what, network=network, timeout_s=WAIT_S)

    primary = await cluster.primary()
    assert primary is not None
    await prepare(cluster, primary)
    await lab.start_unit(WATCHER, exporter_unit(lab))
    with anyio.fail_after(WAIT_S):
        while not await is_listening(lab):
            await anyio.sleep(0.1)
    page = await seen(is_whole, "a whole cluster")
    assert page.value("bascule_member_role", member=primary, role="primary") == 1
    assert page.value("bascule_member_timeline", member=primary) == 1
    assert page.values("bascule_dcs_member_up") == [1, 1, 1]
    assert page.values("bascule_exporter_permission_missing") == [0, 0]

    replica, other = [node for node in lab.topology.nodes if node != primary]
    await lab.cut_link(replica)
    page = await seen(
        lambda page: (
            (page.value("bascule_replica_lag_seconds", member=replica) or 0) > BEHIND_S
            and (page.value("bascule_replica_lag_bytes", member=replica, stage="flush") or 0) > 0
            and page.value("bascule_member_up", member=replica) == 0
            and page.value("bascule_member_sql_up", member=replica) == 0
        ),
        "lag of a replica whose host is cut off",
    )
    await seen(
        lambda page: (
            page.value("bascule_replica_wal_receiver_up", member=replica) == 0
            and page.value("bascule_sync_standbys") == 1
        ),
        "a connection that carries nothing counts no more, though PostgreSQL keeps it",
    )
    assert page.value("bascule_replica_lag_seconds", member=other) is not None
    assert (page.value("bascule_replica_lag_seconds", member=other) or 0) < BEHIND_S
    await lab.heal_link(replica)
    await seen(is_whole, "the replica has caught up")

    await lab.kill_host(primary)
    page = await seen(
        lambda page: page.value("bascule_primaries") == page.value("bascule_writable_members") == 0,
        "no primary",
    )
    assert page.value("bascule_member_up", member=primary) == 0
    page = await seen(
        lambda page: (
            page.value("bascule_primaries") == page.value("bascule_writable_members") == 1
            and max(page.values("bascule_member_timeline")) == 2
        ),
        "a new primary on timeline 2",
    )
    page = await seen(
        lambda page: (
            (page.value("bascule_replica_lag_seconds", member=primary) or 0) > BEHIND_S
            and (page.value("bascule_replica_lag_bytes", member=primary, stage="replay") or 0) > 0
        ),
        "the lost host as a replica that falls behind",
    )
    page = await seen(
        lambda page: page.values("bascule_replica_lag_seconds").count(0) == 1,
        "the survivor follows the new primary",
    )


async def is_listening(lab: Lab) -> bool:
    try:
        await scrape(URL, network=lab.console)
    except httpcore.ConnectError:
        return False
    return True


async def main(folder: Path) -> None:
    logs = folder / "logs"
    logs.mkdir()
    topology = load_builtin("three-sites").with_settings(witness=False)
    async with Lab(topology, logs=logs, on_exit=lambda _: None) as lab:
        cluster = await raise_cluster(
            lab,
            find_binaries(None),
            config_folder=folder / "config",
            logs=logs,
            done=lambda _: None,
        )
        try:
            await story(lab, cluster)
        finally:
            with anyio.CancelScope(shield=True):
                await cluster.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
