"""From empty directories to protected data, by phases: ``python benchmarks/boot.py [--nodes 10]``.

Each run is a fresh lab: sites, etcd, initdb, base backups, quorum commit in force, the asked-for
settings read back. Nothing is cached between runs.

With ``--nodes`` the topology has so many PostgreSQL, two a site, an etcd in up to five of the
sites, and a client in each; a commit needs two replicas, so one is in another site.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import anyio
from figures import machine, spread, tell

from chaos.wording import counted
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.substrates.lab.enter import run_sealed
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin
from cluster.topology.model import Host, Site, Topology

STEPS = ("network", "dcs", "primary", "replicas", "protected")
NODES_PER_SITE = 2
ETCD_MAX = 5
"""etcd's documentation: more members do not make it safer, but slower."""


def topology_of(nodes: int | None) -> Topology:
    """The default topology without its witnesses, which are started once it is up; or one of
    ``nodes`` PostgreSQL (2 or more)."""
    default = load_builtin("three-sites").with_settings(witness=False)
    if nodes is None:
        return default
    names = [f"db-{number}" for number in range(1, nodes + 1)]
    sites = [names[first : first + NODES_PER_SITE] for first in range(0, nodes, NODES_PER_SITE)]
    members = min(ETCD_MAX, len(sites) - 1 + len(sites) % 2)
    return replace(
        default,
        name=f"nodes-{nodes}",
        cluster=replace(default.cluster, synchronous_node_count=min(NODES_PER_SITE, nodes - 1)),
        sites=tuple(
            Site(
                name=f"site-{number}",
                hosts=(
                    *(Host(name=name, roles=("postgres",)) for name in site),
                    *([Host(name=f"dcs-{number}", roles=("etcd",))] if number <= members else ()),
                    Host(name=f"app-{number}", roles=("client",)),
                ),
            )
            for number, site in enumerate(sites, start=1)
        ),
    )


async def boot(folder: Path, nodes: int | None) -> None:
    """Inside a lab: raise the topology once, and write down when each step was done."""
    logs = folder / "logs"
    logs.mkdir()
    done_s: dict[str, float] = {}
    begin_s = time.monotonic()

    def done(step: str) -> None:
        done_s[step] = time.monotonic() - begin_s

    async with Lab(topology_of(nodes), logs=logs, on_exit=lambda end: None) as lab:
        done("network")
        binaries = find_binaries()
        config = folder / "config"
        cluster = await raise_cluster(lab, binaries, config_folder=config, logs=logs, done=done)
        await cluster.aclose()
    (folder / "steps.json").write_text(json.dumps(done_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--nodes", type=int, help="so many PostgreSQL; default: three-sites")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        anyio.run(boot, options.inside, options.nodes)
        return
    topology = topology_of(options.nodes)
    size = [] if options.nodes is None else ["--nodes", str(options.nodes)]
    runs = []
    for number in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
            begin_s = time.monotonic()
            code, _ = run_sealed([sys.executable, __file__, "--inside", folder, *size])
            if code != 0:
                sys.exit(f"boot failed with {code}")
            steps = json.loads((Path(folder) / "steps.json").read_text())
            steps["whole command"] = time.monotonic() - begin_s
            runs.append(steps)
            tell(f"boot {number + 1} of {options.runs}: protected after {steps['protected']:.2f} s")
    if options.json:
        print(json.dumps({"machine": machine(), "runs": runs}, indent=2))
        return
    print(f"boot of {topology.name}, {counted(options.runs, 'run', 'runs')}; {machine()}")
    for step in (*STEPS, "whole command"):
        print(f"  {step:14} {spread([run[step] for run in runs], 's')}")


if __name__ == "__main__":
    main()
