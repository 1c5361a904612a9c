"""Labs of many PostgreSQL: ``python -m support.lab.sized_labs NAME DIR``, sealed.

Run by ``tests/integration/cluster/substrates/lab/test_sizes.py``. A probe asserts; its exit code is
the answer.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from cluster import boot
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.errors import BootError
from cluster.patroni import config
from cluster.raised import RaisedCluster
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin
from cluster.topology.model import Host, Site, Topology
from cluster.topology.size import ServerSize

STEP_TIMEOUT_S = 25.0
"""Long enough for a primary and for a base backup that fails."""


def topology_of(nodes: int) -> Topology:
    """Three sites like the default ones, with ``nodes`` PostgreSQL between them."""
    default = load_builtin("three-sites").with_settings(witness=False)
    sites = tuple(
        Site(
            name=site.name,
            hosts=(
                Host(name=f"dcs-{site.name}", roles=("etcd",)),
                Host(name=f"app-{site.name}", roles=("client",)),
                *(
                    Host(name=f"db-{node}", roles=("postgres",))
                    for node in range(nodes)
                    if node % len(default.sites) == number
                ),
            ),
        )
        for number, site in enumerate(default.sites)
    )
    return replace(default, name=f"nodes-{nodes}", sites=sites)


async def raised(topology: Topology, folder: Path) -> RaisedCluster:
    """Raise it, look whether it is whole, end it."""
    logs = folder / "logs"
    logs.mkdir()
    async with Lab(topology, logs=logs, on_exit=lambda end: None) as lab:
        cluster = await raise_cluster(
            lab, find_binaries(), config_folder=folder / "config", logs=logs, done=print
        )
        assert await cluster.missing_of_whole() is None
        await cluster.aclose()
    return cluster


async def eighteen(folder: Path) -> None:
    """More than PostgreSQL's default of ten WAL senders can serve."""
    await raised(topology_of(18), folder)


async def starved(folder: Path) -> None:
    """Servers that are set too small: the error names what the logs give as the cause."""
    parameters = config.server_parameters

    def too_small(size: ServerSize) -> dict[str, object]:
        return {**parameters(size), "max_wal_senders": 3}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "server_parameters", too_small)
        patch.setattr(boot, "STEP_TIMEOUT_S", STEP_TIMEOUT_S)
        patch.setattr(boot, "STEP_TIMEOUT_S_OF_NODE", 0.0)
        with pytest.RaisesGroup(BootError) as caught:
            await raised(topology_of(6), folder)
    words = str(caught.value.exceptions[0])
    assert words.startswith("the replicas do not stream after 25 s; the logs say:"), words
    first, where = words.splitlines()[1:3]
    assert re.search(r"FATAL: +number of requested standby connections exceeds", first), words
    assert re.search(r"/logs/db-\d\.patroni\.log", where), words


PROBES: dict[str, Callable[[Path], Awaitable[None]]] = {
    probe.__name__: probe for probe in (eighteen, starved)
}

if __name__ == "__main__":
    anyio.run(PROBES[sys.argv[1]], Path(sys.argv[2]))
