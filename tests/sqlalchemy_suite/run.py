"""SQLAlchemy's own suite for dialects on our engines: ``python tests/sqlalchemy_suite/run.py``.

Twice: on those of a ``SyncStorage`` and on those of a ``Storage``, each in a process of its own,
because SQLAlchemy's plugin for pytest takes a process for itself. Further arguments are pytest's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
DEADLINE_S = 240


def main() -> int:
    """0 if both passed."""
    ends = []
    for kind in ("sync", "async"):
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-c", str(FOLDER / "setup.cfg")),
            *("--rootdir", str(FOLDER), *(sys.argv[1:] or [str(FOLDER)])),
        ]
        environment = os.environ | {"BASCULE_SUITE": kind, "PYTHONPATH": str(FOLDER.parent.parent)}
        ends.append(
            subprocess.run(command, env=environment, timeout=DEADLINE_S, check=False).returncode
        )
    return max(ends)


if __name__ == "__main__":
    sys.exit(main())
