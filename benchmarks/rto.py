"""How long the service is gone, by phases, beside the prediction: ``python benchmarks/rto.py``.

Runs each drill several times, for real, and shows medians and ranges of what verdict.json says.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from figures import drill, machine, spread, tell

from chaos.wording import counted

CASES = {
    "host-loss, 20/5/5, witnesses": ("host-loss", "--witness"),
    "host-loss, Patroni's defaults (30/10/10)": (
        *("host-loss", "--no-witness"),
        *("--ttl", "30", "--loop-wait", "10", "--retry-timeout", "10"),
    ),
    "host-loss, 20/5/5": ("host-loss", "--no-witness"),
    "process-crash, 20/5/5": ("process-crash", "--no-witness"),
    "switchover, 20/5/5": ("switchover", "--no-witness"),
}
"""Name, and the arguments of ``bascule drill``. The numbers are ttl/loop_wait/retry_timeout.
``witness.py`` compares more with witnesses."""


def show(name: str, runs: list[dict[str, Any]]) -> None:
    """One case."""
    verdicts = ", ".join(sorted({run["verdict"] for run in runs}))
    print(f"{name}: {counted(len(runs), 'run', 'runs')}, {verdicts}")
    print(f"  RTO                          {spread([r['rto_s'] for r in runs if r['rto_s']], 's')}")
    phases: dict[str, list[float]] = {}
    for run in runs:
        for phase, took_s in run["rto_phases_s"].items():
            phases.setdefault(phase, []).append(took_s)
    for phase, values in phases.items():
        print(f"    {phase:26} {spread(values, 's')}")
    predicted = runs[0]["rto_predicted_s"]
    if predicted:
        print(f"  predicted                    {predicted['low_s']:g} to {predicted['high_s']:g} s")
    print(f"  acknowledged, lost           {sum(r['acknowledged'] for r in runs)},", end=" ")
    print(sum(r["lost"] or 0 for r in runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="a part of a case's name")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, arguments in CASES.items():
        if options.only and options.only not in name:
            continue
        for number in range(options.runs):
            run = drill(*arguments)
            rto = "none" if run["rto_s"] is None else f"{run['rto_s']:.1f} s"
            tell(f"{name}: run {number + 1} of {options.runs}: {run['verdict']}, RTO {rto}")
            found.setdefault(name, []).append(run)
    if options.json:
        print(json.dumps({"machine": machine(), "cases": found}, indent=2))
        return
    print(machine())
    for name, runs in found.items():
        show(name, runs)


if __name__ == "__main__":
    main()
