"""Backups of the hospital's warehouse: ``python benchmarks/backups.py [--profile drill] [--json]``.

One PostgreSQL of its own on this machine, with fsync as in production and WAL summaries on, filled
with a profile of the warehouse. Taken and timed: a full backup with its verification; one row in a
hundred of the largest table updated; an incremental backup with its verification; the restore of
both as one data folder, with its verifications; the recovery of a server on it, until it answers.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import figures

# The server is that of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.postgres.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    bindir,
    local_postgres,
)

from chaos.workloads.warehouse.fill import fill_on
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import PROFILES, Profile
from cluster.backups.store import BackupStore
from replication import Credentials
from replication.schema import install
from replication.wire import Address, connect

SETTINGS = {
    "fsync": "on",
    "summarize_wal": "on",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "256MB",
}
CHANGE = "UPDATE warehouse.measurement SET value_as_number = 0 WHERE mod(measurement_id, 100) = 7"


async def fill(server: LocalPostgres, profile: Profile) -> None:
    """All rows, then the keys."""
    login = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    address = Address(node="db-a", host="127.0.0.1", port=server.port)
    session = await connect(address, login)
    try:
        await install(session)
        await fill_on(session, Generator(profile, 7))
    finally:
        await session.close()


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def run(profile: Profile, folder: Path) -> dict[str, Any]:
    """Every step once: its seconds, and the bytes of what it left."""
    found: dict[str, Any] = {}
    store = BackupStore(folder / "backups", bindir())
    with local_postgres(folder, settings=SETTINGS) as server:
        anyio.run(fill, server, profile)
        server.query("CHECKPOINT")
        source = server.conninfo(password=PASSWORD)
        for kind in ("full", "incremental"):
            taken = store.take(source)
            home = store.folder / "base" / taken.record.name
            found[f"{kind}_s"], found[f"{kind}_bytes"] = taken.took_s, size(home)
            if kind == "full":
                server.query(CHANGE)
        rows = server.query("SELECT count(*) FROM warehouse.measurement")
    begun_s = time.perf_counter()
    store.restore(folder / "restored")
    found["combined_s"] = time.perf_counter() - begun_s
    restored = LocalPostgres(
        folder, name="restored", settings={**SETTINGS, "restore_command": "false"}
    )
    begun_s = time.perf_counter()
    restored.start()
    found["recovered_s"] = time.perf_counter() - begun_s
    try:
        if restored.query("SELECT count(*) FROM warehouse.measurement") != rows:
            raise RuntimeError("what was restored has other rows")
    finally:
        restored.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="drill")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    profile = PROFILES[options.profile]
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        found = run(profile, Path(folder))
    if options.json:
        print(json.dumps({"machine": figures.machine(), "profile": profile.name, **found}))
        return
    print(figures.machine())
    print(f"{profile.name}: {profile.patients:,} patients")
    for kind in ("full", "incremental"):
        megabytes = found[f"{kind}_bytes"] / 1e6
        print(f"{kind:12} {found[f'{kind}_s']:6.1f} s taken and verified, {megabytes:,.0f} MB")
    print(f"{'restore':12} {found['combined_s']:6.1f} s verified, combined, verified again")
    print(f"{'recovery':12} {found['recovered_s']:6.1f} s until it answers")


if __name__ == "__main__":
    main()
