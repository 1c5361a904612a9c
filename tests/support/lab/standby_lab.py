"""A standby cluster in a real lab: ``python -m support.lab.standby_lab DIR``, sealed.

Run by ``tests/integration/cluster/substrates/lab/test_standby.py``. The smallest one that there is:
one PostgreSQL and one etcd in each of two clusters. It follows; a witness beside it leaves it
alone; it is promoted while the old primary lives, and then there are two; undone, the old one
follows it. The probe asserts; its exit code is the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio

from chaos.drill.witnesses import key_names
from chaos.faults.base import Stage
from chaos.faults.promote_standby import PROMOTE_STANDBY, PromoteStandbyParams
from chaos.faults.targets import CLUSTER, Victim
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.etcd.member import CLIENT_PORT
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from cluster.substrates.lab.lab import Lab
from cluster.topology.model import ClusterSettings, Host, Site, Topology
from cluster.whole import STANDBY_LEADER, find_primary

WAIT_S = 90.0
POLL_S = 0.1
LED, BEHIND, DCS_BEHIND = "db-paris", "db-lyon", "dcs-lyon"
WITNESS = """
[bascule.witness]
site = "lyon"
sites = ["lyon", "nice", "lille"]
[bascule.witness.dcs]
scope = "warehouse"
endpoints = ["http://{address}:{port}"]
"""
TOPOLOGY = Topology(
    name="standby",
    title="One PostgreSQL in each of two clusters",
    sites=(
        Site(
            name="paris",
            hosts=(
                Host(name=LED, roles=("postgres",)),
                Host(name="dcs-paris", roles=("etcd",)),
                Host(name="app-paris", roles=("client",)),
            ),
        ),
        Site(
            name="lyon",
            standby=True,
            hosts=(
                Host(name=BEHIND, roles=("postgres",)),
                Host(name=DCS_BEHIND, roles=("etcd",)),
            ),
        ),
    ),
    cluster=ClusterSettings(
        scope="warehouse", durability="async", ttl_s=20, loop_wait_s=2, retry_timeout_s=5
    ),
)


async def wait(
    what: str, condition: Callable[[], Awaitable[bool]], found: Mapping[str, str] | None = None
) -> None:
    """Wait for a condition; says what it was, and what was ``found``, if it does not come."""
    with anyio.move_on_after(WAIT_S):
        while not await condition():
            await anyio.sleep(POLL_S)
        return
    raise AssertionError(f"after {WAIT_S:g} s not yet: {what}; found {found}")


async def wait_roles(cluster: RaisedCluster, led: str, behind: str) -> None:
    """Wait until each member says that it is that."""
    wanted, found = {LED: led, BEHIND: behind}, dict[str, str]()

    async def are_so() -> bool:
        members = await cluster.members()
        found.update({node: one.role if one else "silent" for node, one in members.items()})
        leads = find_primary(members)
        # A standby leader is no second primary; of two nobody can say which one leads.
        count = list(wanted.values()).count("primary")
        return found == wanted and (leads is not None) == (count == 1)

    await wait(f"the roles {wanted}", are_so, found)


async def is_left_alone_by_a_witness(lab: Lab, cluster: RaisedCluster, folder: Path) -> None:
    """A witness beside the standby cluster, whose leader dies, says that it may not act."""
    path = folder / "witness.toml"
    text = WITNESS.format(address=lab.address(DCS_BEHIND), port=CLIENT_PORT)
    await anyio.Path(path).write_text(text)
    words = ("-m", "chaos", "witness", "--config", str(path), "--listen", "127.0.0.1:9188")
    await lab.start_unit(DCS_BEHIND, Process(name="witness", argv=(lab.python, *words)))
    names = key_names(TOPOLOGY)

    async def watches() -> bool:
        return await cluster.etcd.value(DCS_BEHIND, names.alive("lyon")) is not None

    await wait("the witness watches", watches)
    log = anyio.Path(folder / "logs" / f"{DCS_BEHIND}.witness.log")
    await lab.kill_host(BEHIND)

    async def refuses() -> bool:
        return "refusal=standby-cluster" in await log.read_text()

    await wait("the witness says that this is a standby cluster", refuses)
    assert "event=suspect" not in await log.read_text()
    await lab.stop_unit(DCS_BEHIND, "witness", timeout_s=10.0)
    await lab.start_host(BEHIND)
    await cluster.start_services(BEHIND)


async def probe(folder: Path) -> None:
    """A standby cluster follows, is left alone, is promoted, and is followed."""
    logs = folder / "logs"
    logs.mkdir()
    async with Lab(TOPOLOGY, logs=logs, on_exit=lambda end: None) as lab:
        cluster = await raise_cluster(
            lab, find_binaries(), config_folder=folder / "config", logs=logs, done=print
        )
        assert await cluster.wait_whole(timeout_s=WAIT_S) is None
        await wait_roles(cluster, "primary", STANDBY_LEADER)

        await is_left_alone_by_a_witness(lab, cluster, folder)
        assert await cluster.wait_whole(timeout_s=WAIT_S) is None

        stage, victim = Stage(cluster=cluster), Victim(name=CLUSTER, hosts=(LED,))
        careless = PromoteStandbyParams(fence=False)
        print(await PROMOTE_STANDBY.strike(stage, victim, careless))
        await wait_roles(cluster, "primary", "primary")

        print(await PROMOTE_STANDBY.undo(stage, victim, careless))
        assert await cluster.wait_whole(timeout_s=WAIT_S) is None
        await wait_roles(cluster, STANDBY_LEADER, "primary")
        await cluster.aclose()


if __name__ == "__main__":
    anyio.run(probe, Path(sys.argv[1]))
