"""How long the service is gone with witnesses and without: ``python benchmarks/witness.py``.

Runs each drill several times, for real, at Patroni's defaults (ttl 30, loop_wait 10, retry_timeout
10), once with witnesses and once without in turn, and shows medians and ranges of what
``verdict.json`` says. The RTO of a site that was cut off is that of the other sites.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from figures import drill, machine, spread, tell

from chaos.wording import counted

DEFAULTS = ("--ttl", "30", "--loop-wait", "10", "--retry-timeout", "10")
CASES = ("host-loss", "process-crash", "site-cut", "site-loss")
"""Scenarios on the topology ``three-sites``."""
KINDS = {"stock": "--no-witness", "witness": "--witness"}


def show(name: str, kind: str, runs: list[dict[str, Any]]) -> None:
    """One scenario, of one kind."""
    verdicts = ", ".join(sorted({run["verdict"] for run in runs}))
    print(f"{name}, {kind}: {counted(len(runs), 'run', 'runs')}, {verdicts}")
    print(f"  RTO                          {spread([r['rto_s'] for r in runs if r['rto_s']], 's')}")
    phases: dict[str, list[float]] = {}
    for run in runs:
        for phase, took_s in run["rto_phases_s"].items():
            phases.setdefault(phase, []).append(took_s)
    for phase, values in phases.items():
        print(f"    {phase:26} {spread(values, 's')}")
    print(f"  acknowledged, lost           {sum(r['acknowledged'] for r in runs)},", end=" ")
    print(sum(r["lost"] or 0 for r in runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="a part of a scenario's name")
    parser.add_argument("--kind", choices=tuple(KINDS), help="only with witnesses, or without")
    parser.add_argument("--rate", default="100", help="operations a second and site")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in CASES:
        if options.only and options.only not in name:
            continue
        for number in range(options.runs):
            for kind, option in KINDS.items():
                if options.kind not in {None, kind}:
                    continue
                try:
                    run = drill(name, *DEFAULTS, option, "--rate", options.rate)
                except RuntimeError as error:
                    sys.exit(f"{name}, {kind}: {error}")
                rto = "none" if run["rto_s"] is None else f"{run['rto_s']:.2f} s"
                tell(f"{name}, {kind}: run {number + 1}: {run['verdict']}, RTO {rto}")
                found.setdefault(name, {}).setdefault(kind, []).append(run)
    if options.json:
        print(json.dumps({"machine": machine(), "cases": found}, indent=2))
        return
    print(machine())
    for name, kinds in found.items():
        for kind, runs in kinds.items():
            show(name, kind, runs)


if __name__ == "__main__":
    main()
