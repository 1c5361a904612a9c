"""Every measured claim again, one benchmark after the other: ``make bench``.

``python benchmarks/all.py --docker`` runs those that need a Docker engine instead.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = (
    *(("boot.py",), ("load.py",), ("rto.py",), ("writes.py",), ("bulk.py",), ("exporter.py",)),
    *(("reroute.py",), ("testing.py",), ("soak.py",)),
)
WITH_DOCKER = (("compose.py",), ("testing.py", "--mode", "docker"), ("substrates.py",))


def main() -> None:
    for name, *arguments in WITH_DOCKER if "--docker" in sys.argv[1:] else BENCHMARKS:
        print(f"== {' '.join((name, *arguments))}", flush=True)
        program = str(Path(__file__).with_name(name))
        subprocess.run([sys.executable, program, *arguments], check=True)


if __name__ == "__main__":
    main()
