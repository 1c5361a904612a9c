"""From ``docker compose up`` to protected data: ``python benchmarks/compose.py``.

Images are built before; each run has fresh volumes. Protected: the primary is reached through
HAProxy, and counts both replicas for its quorum. Ports and project are the benchmark's own.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import time
from pathlib import Path

import psycopg
from figures import machine, spread, tell

from chaos.wording import counted

ROOT = Path(__file__).parents[1]
PORTS = {"PRIMARY": 45000, "REPLICA": 45001, "HAPROXY": 47000}
STANDBYS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'"
TIMEOUT_S = 300.0
POLL_S = 0.1


def compose(environment: dict[str, str], *arguments: str) -> str:
    """``docker compose ARGUMENTS``; what it printed."""
    return subprocess.run(
        ["docker", "compose", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    ).stdout


def is_protected(environment: dict[str, str], password: str) -> bool:
    """The primary answers through HAProxy, with two replicas that count."""
    where = f"host=127.0.0.1 port={PORTS['PRIMARY']} user=postgres dbname=postgres"
    try:
        with psycopg.connect(f"{where} password={password} connect_timeout=2") as connection:
            return connection.execute(STANDBYS).fetchone() == (2,)
    except psycopg.Error:
        return False


def up(environment: dict[str, str]) -> tuple[float, float]:
    """Seconds until ``up`` returned, and until the data was protected."""
    begin_s = time.monotonic()
    compose(environment, "up", "--detach", "--no-build")
    returned_s = time.monotonic() - begin_s
    password = compose(
        environment, "exec", "-T", "db-paris", "cat", "/run/secrets/superuser"
    ).strip()
    while not is_protected(environment, password):
        if time.monotonic() - begin_s > TIMEOUT_S:
            raise SystemExit(f"not protected after {TIMEOUT_S:g} s")
        time.sleep(POLL_S)
    return returned_s, time.monotonic() - begin_s


def main() -> None:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    environment = {f"BASCULE_{name}_PORT": str(port) for name, port in PORTS.items()}
    environment |= {
        "BASCULE_PROJECT": f"bascule-bench-{secrets.token_hex(3)}",
        "COMPOSE_PROFILES": "cluster",
    }
    compose(environment, "build", "--quiet")
    found = []
    for number in range(options.runs):
        try:
            found.append(up(environment))
        finally:
            compose(environment, "down", "--volumes", "--timeout", "3")
        tell(f"up {number + 1} of {options.runs}: protected after {found[-1][1]:.2f} s")
    print(f"docker compose up of the cluster, {counted(options.runs, 'run', 'runs')}; {machine()}")
    print(f"  up returned {spread([pair[0] for pair in found], 's')}")
    print(f"  protected   {spread([pair[1] for pair in found], 's')}")


if __name__ == "__main__":
    main()
