"""The measured claims again, one benchmark after the other: ``make bench``.

``python benchmarks/all.py --docker`` runs those that need a Docker engine instead. The commands are
those that the README has beside its figures, and ``sync_overhead.py`` (docs/use/sqlalchemy.md).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = (
    *("boot.py --runs 7", "boot.py --nodes 10 --runs 3", "boot.py --nodes 30 --runs 1"),
    *("load.py", "rto.py", "writes.py", "bulk.py --rounds 3", "warehouse.py", "exporter.py"),
    *("reroute.py --runs 6", "hung_replica.py", "read_stream.py", "testing.py"),
    *("sync_overhead.py", "soak.py --no-witness", "witness.py --only host-loss"),
)
WITH_DOCKER = ("compose.py", "testing.py --mode docker --runs 3", "substrates.py")


def main() -> None:
    for command in WITH_DOCKER if "--docker" in sys.argv[1:] else BENCHMARKS:
        print(f"== {command}", flush=True)
        name, *arguments = command.split()
        program = str(Path(__file__).with_name(name))
        subprocess.run([sys.executable, program, *arguments], check=True)


if __name__ == "__main__":
    main()
