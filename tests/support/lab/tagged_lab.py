"""A lab whose members have tags: ``python -m support.lab.tagged_lab DIR``, sealed.

Run by ``tests/integration/cluster/substrates/lab/test_tags.py``. One lab for all of it: a replica
that may not lead, is never waited for, and streams from another replica. The probe asserts; its
exit code is the answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.errors import PatroniError
from cluster.raised import RaisedCluster
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin

PRIMARY, SOURCE, OTHER, TAGGED = "db-paris", "db-orsay", "db-saint-cloud", "db-reports"
WAIT_S = 60.0
"""More than ttl, two looks of Patroni, and a base backup."""
POLL_S = 0.2


async def probe(folder: Path) -> None:
    """Everything that a member's tags change, in the order in which it can be seen."""
    logs = folder / "logs"
    logs.mkdir()
    topology = load_builtin("three-sites-reporting")
    async with Lab(topology, logs=logs, on_exit=lambda end: None) as lab:
        cluster = await raise_cluster(
            lab, find_binaries(), config_folder=folder / "config", logs=logs, done=print
        )
        assert await cluster.missing_of_whole() is None
        await lead(cluster, PRIMARY)

        assert await sources(cluster) == {SOURCE: PRIMARY, OTHER: PRIMARY, TAGGED: SOURCE}
        assert await counted(cluster) == {SOURCE, OTHER}
        with pytest.raises(PatroniError, match="no good candidates"):
            await cluster.switchover(PRIMARY, TAGGED, timeout_s=WAIT_S)

        await lab.kill_host(SOURCE)
        with anyio.fail_after(WAIT_S):
            while (await sources(cluster)).get(TAGGED) != PRIMARY:
                await anyio.sleep(POLL_S)
        with anyio.fail_after(WAIT_S):  # until the primary has looked, and no longer counts SOURCE
            while (found := await counted(cluster)) != {OTHER}:
                assert TAGGED not in found, "it streams from the primary, and has no vote"
                await anyio.sleep(POLL_S)

        await lab.start_host(SOURCE)
        await cluster.start_services(SOURCE)
        assert await cluster.wait_whole(timeout_s=WAIT_S) is None
        assert await sources(cluster) == {SOURCE: PRIMARY, OTHER: PRIMARY, TAGGED: SOURCE}
        assert await counted(cluster) == {SOURCE, OTHER}
        await cluster.aclose()


async def lead(cluster: RaisedCluster, node: str) -> None:
    """Make a node the primary of a whole cluster."""
    primary = await cluster.primary()
    assert primary is not None
    assert primary != TAGGED, "it may not even make the cluster"
    if primary != node:
        await cluster.switchover(primary, node, timeout_s=WAIT_S)
    assert await cluster.wait_whole(timeout_s=WAIT_S) is None


async def sources(cluster: RaisedCluster) -> dict[str, str]:
    """By replica, who says that it streams to it."""
    members = await cluster.members()
    return {
        row.application_name: node
        for node, member in members.items()
        if member is not None
        for row in member.replication
        if row.state == "streaming" and row.application_name in members
    }


async def counted(cluster: RaisedCluster) -> set[str]:
    """The replicas that a commit of the primary may wait for."""
    member = await cluster.rest[PRIMARY].member()
    assert member is not None
    return {row.application_name for row in member.replication if row.sync_state == "quorum"}


if __name__ == "__main__":
    anyio.run(probe, Path(sys.argv[1]))
