"""Every measured claim again, one benchmark after the other: ``make bench``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = (
    *("boot.py", "load.py", "rto.py", "writes.py", "bulk.py", "exporter.py", "reroute.py"),
    "soak.py",
)


def main() -> None:
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).with_name(name))], check=True)


if __name__ == "__main__":
    main()
