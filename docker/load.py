"""A ledger load on one site of docker-compose.yml, until it is stopped.

It is the load process of a drill, begun anew every hour: nobody judges what it writes down, so that
is in memory and thrown away.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from chaos.workloads.config import LoadConfig
from replication import Member

PERIOD_S = 3600.0
HISTORY = Path("/tmp/history.jsonl")


def config() -> LoadConfig:
    """What the load process is asked to do; ids are used once, so each start has its own site."""
    site = os.environ["SITE"]
    members = [word.split(":") for word in os.environ["MEMBERS"].split()]
    return LoadConfig(
        site=f"{site}-{time.time_ns():x}",
        members=tuple(
            Member(name=node, rest_url=f"http://{node}:8008", host=node, port=5432, site=at)
            for node, at in members
        ),
        user="bascule_app",
        password=Path("/run/secrets/app").read_text().strip(),
        dbname="postgres",
        rate_per_s=float(os.environ["RATE_PER_S"]),
        workers=2,
        seed=time.time_ns() % 2**31,
        deadline_s=60,
        history_path=str(HISTORY),
    )


def main() -> int:
    """Load; the exit code of the load process when it ended by itself or was stopped."""
    stopped = False

    def stop(number: int, _: object) -> None:
        nonlocal stopped
        stopped = True
        process.send_signal(signal.SIGTERM)

    while True:
        HISTORY.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos.load.worker"], stdin=subprocess.PIPE, text=True
        )
        signal.signal(signal.SIGTERM, stop)
        assert process.stdin is not None
        process.stdin.write(config().to_line())
        process.stdin.flush()
        try:
            return process.wait(timeout=PERIOD_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        if stopped:
            return 0


if __name__ == "__main__":
    sys.exit(main())
