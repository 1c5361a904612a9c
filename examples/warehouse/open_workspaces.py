"""Make the workspaces of ``workspaces.toml``: sealed copies, each under a key of its own.

    python examples/warehouse/open_workspaces.py workspaces.toml --keys KEYS
    python examples/warehouse/open_workspaces.py workspaces.toml --probes > probes.toml

``KEYS`` is a folder with one file a project, ``<project>.key``, of 32 bytes at least, that nobody
else may read (``openssl rand -out tolerance.key 32``). Keep it away from the database and its
backups: who has key and database can find every patient of the project. Run it again after a change
of the file: projects that are there already are left as they are.
"""

from __future__ import annotations

import argparse
import stat
import sys
from pathlib import Path

import anyio

from chaos.errors import ChaosError, PreflightError
from chaos.workloads.warehouse.escapes import probes_toml
from chaos.workloads.warehouse.sealing import (
    KEY_BYTES_MIN,
    SHARED_MIGRATIONS,
    SHARED_SERIES,
    migrations_of,
    series_of,
)
from chaos.workloads.warehouse.workspaces import Project, load_workspaces
from replication import ConfigError, StorageError, load_config, open_storage
from replication.schema import install, migrate


def read_key(folder: Path, project: Project) -> bytes:
    """The key of a project.

    Raises:
        PreflightError: there is none, or others may read it.
    """
    path = folder / f"{project.name}.key"
    if not path.is_file():
        words = f"{path}: there is no key of the project {project.name}"
        raise PreflightError(f"{words}; make one with  openssl rand -out {path} {KEY_BYTES_MIN}")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PreflightError(f"{path}: others may read this key; run  chmod 600 {path}")
    return path.read_bytes()


async def open_all(projects: list[tuple[Project, bytes]], config: Path) -> None:
    """Make each workspace that is not there yet."""
    async with open_storage(load_config(config)) as storage:
        await install(storage)
        await migrate(storage, SHARED_MIGRATIONS, series=SHARED_SERIES)
        for project, key in projects:
            done = await migrate(storage, migrations_of(project, key), series=series_of(project))
            print(f"{project.name}: {'opened' if done.applied else 'was open'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspaces", type=Path)
    parser.add_argument("--keys", type=Path, default=Path("keys"))
    parser.add_argument("--config", type=Path, default=Path("bascule.toml"))
    parser.add_argument("--probes", action="store_true", help="print the probes of the seals")
    options = parser.parse_args()
    try:
        projects = load_workspaces(options.workspaces)
        if options.probes:
            print(probes_toml(projects), end="")
            return
        keys = {project.name: read_key(options.keys, project) for project in projects}
        if len(set(keys.values())) < len(keys):
            raise PreflightError(f"{options.keys}: two projects have the same key")
        anyio.run(open_all, [(p, keys[p.name]) for p in projects], options.config)
    except (ChaosError, ConfigError, StorageError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
