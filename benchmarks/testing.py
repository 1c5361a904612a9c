"""From ``PatroniCluster()`` to a first write: ``python benchmarks/testing.py [--mode docker]``.

``cold`` begins with nothing and ends with a row that a second node has. ``next test`` is what the
pytest plugin does between two tests (heal and verify, twice) and one write. ``reused`` (Docker)
takes the cluster that an earlier run has left.
"""

from __future__ import annotations

import argparse
import time

import psycopg
from figures import machine, spread, tell

from chaos.gameday.requests import Mode
from chaos.testing import PatroniCluster
from chaos.wording import counted
from cluster.substrates.docker.leftovers import kept_runs, remove_run


def write(cluster: PatroniCluster) -> None:
    """One committed row; with quorum commit another node has it too."""
    with psycopg.connect(cluster.primary_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS written (id int)")
        connection.execute("INSERT INTO written VALUES (1)")


def cold(mode: Mode, *, reuse: bool = False) -> tuple[float, float, float]:
    """Seconds to the first write, for the next test, and to stop."""
    begin_s = time.monotonic()
    cluster = PatroniCluster(mode=mode, reuse=reuse).start()
    try:
        write(cluster)
        first_s = time.monotonic()
        for _ in range(2):
            cluster.heal()
            cluster.wait_healthy()
        write(cluster)
        next_s = time.monotonic()
    finally:
        cluster.stop()
    return first_s - begin_s, next_s - first_s, time.monotonic() - next_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mode", choices=("lab", "docker"), default="lab")
    options = parser.parse_args()
    found = []
    for number in range(options.runs):
        found.append(cold(options.mode))
        tell(f"{options.mode} {number + 1} of {options.runs}: {found[-1][0]:.2f} s")
    runs = counted(options.runs, "run", "runs")
    print(f"PatroniCluster(mode={options.mode!r}), {runs}; {machine()}")
    for name, values in zip(("cold", "next test", "stop"), zip(*found, strict=True), strict=True):
        print(f"  {name:10} {spread(values, 's')}")
    if options.mode == "docker":
        cold("docker", reuse=True)
        reused = [cold("docker", reuse=True)[0] for _ in range(options.runs)]
        print(f"  {'reused':10} {spread(reused, 's')}")
        for run in kept_runs():
            remove_run(run)


if __name__ == "__main__":
    main()
