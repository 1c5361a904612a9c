"""``python -m cluster.backups``: what ``bascule backup take`` and ``restore`` do, for a drill's
hosts, which cannot wait until all of ``bascule`` is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

from cluster.backups.store import BackupStore, Incremental
from cluster.errors import ClusterError

USAGE = """usage: python -m cluster.backups take FOLDER BINDIR CONNINFO never|auto|always
       python -m cluster.backups restore FOLDER BINDIR DATA"""
KINDS: tuple[Incremental, ...] = get_args(Incremental)


def main(arguments: list[str]) -> None:
    """One command."""
    match arguments:
        case ["take", folder, bindir, source, asked] if asked in KINDS:
            [kind] = [one for one in KINDS if one == asked]
            BackupStore(Path(folder), Path(bindir)).take(source, incremental=kind)
        case ["restore", folder, bindir, data]:
            BackupStore(Path(folder), Path(bindir)).restore(Path(data))
        case _:
            sys.exit(USAGE)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ClusterError as error:
        sys.exit(str(error))
