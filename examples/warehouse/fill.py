"""Fill a cluster with a made-up hospital: 6,000, 60,000 or 600,000 patients.

    python examples/warehouse/fill.py --profile drill

Needs ``bascule.toml`` in the current folder (docs/reference/settings.md), with a role that may
create schemas. Stop it at any moment, lose the primary under it: run it again, and it goes on after
the last chunk that is there for certain. With ``--data`` it refuses a profile that would not fit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.errors import ChaosError
from chaos.workloads.warehouse.fill import Filled, fill_through
from chaos.workloads.warehouse.generator import Generator
from chaos.workloads.warehouse.profiles import PROFILES, measure, require_room
from replication import ConfigError, StorageError, load_config, open_storage
from replication.schema import install

WAL_MAX_BYTES = 1e9
"""PostgreSQL's default ``max_wal_size``."""


async def fill(generator: Generator, path: Path) -> int:
    """Fill, with a bar on standard error."""
    config = load_config(path)
    bar = Progress(
        TextColumn("{task.description:20s}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
    bar.console.stderr = True
    with bar:
        task = bar.add_task("", total=None)

        def show(filled: Filled) -> None:
            bar.update(
                task,
                description=filled.table,
                completed=filled.rows,
                total=filled.rows_total,
            )

        async with open_storage(config) as storage:
            await install(storage)
            return await fill_through(storage, generator, on_filled=show)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", choices=PROFILES, default="drill")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--config", type=Path, default=Path("bascule.toml"))
    parser.add_argument("--data", type=Path, help="where the nodes' data is, if on this machine")
    parser.add_argument("--nodes", type=int, default=3, help="how many have it there")
    options = parser.parse_args()
    profile = PROFILES[options.profile]
    try:
        if options.data is not None:
            room = measure(options.data)
            require_room(profile, room, nodes=options.nodes, wal_max_bytes=WAL_MAX_BYTES)
        rows = anyio.run(fill, Generator(profile, options.seed), options.config)
    except (ChaosError, ConfigError, StorageError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(f"{profile.patients:,} patients, {rows:,} rows")


if __name__ == "__main__":
    main()
