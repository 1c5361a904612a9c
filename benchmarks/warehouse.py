"""Fill the hospital's warehouse on three nodes with quorum commit: ``python benchmarks/warehouse.py
[--profile full] [--json]``.

A lab of three sites is raised, and the profile is loaded through the storage layer: every chunk a
unit of work, acknowledged when a second node has it, then the keys and indexes. The lab's disks are
in memory, so ``full`` needs about 12.5 GB of it; a machine with less is refused before anything
starts. What is measured is the whole fill; raising the lab is not in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import figures
import psycopg
from rich.progress import Progress

from chaos.errors import PreflightError
from chaos.testing import PatroniCluster
from chaos.workloads.warehouse.fill import Filled, fill_through
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import PROFILES, Profile, Room, measure, require_room
from chaos.workloads.warehouse.tables import TABLES
from cluster.topology.load import load_builtin

WAL_MAX_MB = 512
"""``max_wal_size``: three nodes keep their WAL in the same memory."""

PARAMETERS = {"max_wal_size": f"{WAL_MAX_MB}MB", "maintenance_work_mem": "256MB"}
HEALTHY_S = 300.0


def room_here() -> Room:
    """Of the lab's disks, which are in memory."""
    memory = measure(Path("/")).memory
    return Room(memory=memory, disk=memory, disk_is_memory=True)


async def fill(cluster: PatroniCluster, profile: Profile, bar: Progress) -> dict[str, float]:
    """Seconds: until all rows are acknowledged, and until the keys are."""
    task = bar.add_task(profile.name, total=None)
    copied_s = 0.0
    begun_s = time.perf_counter()

    def show(filled: Filled) -> None:
        nonlocal copied_s
        copied_s = time.perf_counter() - begun_s
        bar.update(task, description=filled.table, completed=filled.rows, total=filled.rows_total)

    async with cluster.storage() as storage:
        await fill_through(storage, Generator(profile, 7), on_filled=show)
    return {"copied_s": copied_s, "filled_s": time.perf_counter() - begun_s}


def look(url: str) -> tuple[int, int]:
    """Rows and bytes of one node."""
    with psycopg.connect(url) as connection:
        rows = 0
        for table in TABLES:
            counted = connection.execute(
                psycopg.sql.SQL("SELECT count(*) FROM {}").format(table.identifier)
            ).fetchone()
            assert counted is not None
            rows += counted[0]
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert size is not None
        return rows, int(size[0])


def run(profile: Profile) -> dict[str, Any]:
    """One fill, and what the nodes hold afterwards.

    Raises:
        RuntimeError: a node lacks rows.
    """
    topology = load_builtin("three-sites").with_postgresql(PARAMETERS)
    with PatroniCluster(topology=topology) as cluster:
        with Progress(disable=not sys.stderr.isatty()) as bar:
            taken: dict[str, Any] = anyio.run(fill, cluster, profile, bar)
        begun_s = time.perf_counter()
        cluster.wait_healthy(HEALTHY_S)
        taken["replayed_s"] = time.perf_counter() - begun_s
        expected = sum(profile.rows(table) for table in TABLES)
        held = [look(url) for url in (cluster.primary_url(), *cluster.replica_urls())]
    if [rows for rows, _ in held] != [expected] * 3:
        raise RuntimeError(f"the nodes hold {held}, and should have {expected} rows each")
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sizes = [size for _, size in held]
    return {**taken, "rows": expected, "bytes_a_node": sizes, "client_peak_bytes": peak_bytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="drill")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    profile = PROFILES[options.profile]
    try:
        require_room(profile, room_here(), nodes=3, wal_max_bytes=WAL_MAX_MB * 2**20)
    except PreflightError as error:
        sys.exit(str(error))
    found = run(profile)
    if options.json:
        print(json.dumps({"machine": figures.machine(), "profile": profile.name, **found}))
        return
    print(figures.machine())
    print(
        f"{profile.name}: {profile.patients:,} patients, {found['rows']:,} rows on three nodes in"
        f" {found['filled_s']:.1f} s (copied after {found['copied_s']:.1f} s, then keys); replicas"
        f" caught up {found['replayed_s']:.1f} s later"
    )
    print(
        f"{max(found['bytes_a_node']) / 1e6:,.0f} MB a node,"
        f" client {found['client_peak_bytes'] / 1e6:,.0f} MB"
    )


if __name__ == "__main__":
    main()
