"""From empty directories to protected data, by phases: ``python benchmarks/boot.py``.

Each run is a fresh lab: sites, etcd, initdb, base backups, quorum commit in force, the asked-for
settings read back. Nothing is cached between runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import anyio
from figures import machine, spread, tell

from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.lab.enter import run_sealed
from cluster.lab.lab import Lab
from cluster.topology.load import load_builtin

STEPS = ("network", "dcs", "primary", "replicas", "protected")


async def boot(folder: Path) -> None:
    """Inside a lab: raise the default topology once, and write down when each step was done."""
    logs = folder / "logs"
    logs.mkdir()
    done_s: dict[str, float] = {}
    begin_s = time.monotonic()

    def done(step: str) -> None:
        done_s[step] = time.monotonic() - begin_s

    topology = load_builtin("three-sites")
    async with Lab(topology, logs=logs, on_exit=lambda end: None) as lab:
        done("network")
        binaries = find_binaries()
        config = folder / "config"
        cluster = await raise_cluster(lab, binaries, config_folder=config, logs=logs, done=done)
        await cluster.aclose()
    (folder / "steps.json").write_text(json.dumps(done_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        anyio.run(boot, options.inside)
        return
    runs = []
    for number in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
            begin_s = time.monotonic()
            code, _ = run_sealed([sys.executable, __file__, "--inside", folder])
            if code != 0:
                sys.exit(f"boot failed with {code}")
            steps = json.loads((Path(folder) / "steps.json").read_text())
            steps["whole command"] = time.monotonic() - begin_s
            runs.append(steps)
            tell(f"boot {number + 1} of {options.runs}: protected after {steps['protected']:.2f} s")
    if options.json:
        print(json.dumps({"machine": machine(), "runs": runs}, indent=2))
        return
    print(f"boot of three-sites, {options.runs} runs; {machine()}")
    for step in (*STEPS, "whole command"):
        print(f"  {step:14} {spread([run[step] for run in runs], 's')}")


if __name__ == "__main__":
    main()
