"""Every scenario on every topology that it fits, on the lab: ``python benchmarks/scenarios.py``.

Each pair is drilled several times, for real; the table shows what verdict.json says. A scenario
fits a topology when nothing that it needs is missing there and it asks for no other durability
(scenarios that bring their own run with it). With ``--write`` the table becomes
``docs/reference/scenario-results.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from figures import drill, machine, tell

from chaos.scenarios.load import builtin_scenarios
from chaos.scenarios.model import Scenario
from chaos.scenarios.rules import problems_of_pair
from cluster.topology.load import builtin_topologies
from cluster.topology.model import Topology

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "scenario-results.md"
HEADING = """\
| scenario | topology | verdict | RTO, median (worst) | lost | findings |
|---|---|---|---|---|---|"""
INTRODUCTION = """\
# What the scenarios show

Every scenario on every topology that it fits, on the lab. Written by `{command}`
on {machine}, {day}. RTO is the time without an acknowledged write, of the site that was without
service for the longest time; "lost" is the sum of acknowledged entries that were gone at the end.
A scenario that exists to show a loss is INVALID when it works.

"""


def pairs(only: Sequence[str], topologies: Sequence[str]) -> Iterator[tuple[Scenario, Topology]]:
    """What is drilled: every scenario with every topology that it fits."""
    for scenario in builtin_scenarios():
        for topology in builtin_topologies():
            asked = (not only or scenario.name in only) and (
                not topologies or topology.name in topologies
            )
            if asked and not list(problems_of_pair(scenario, topology)):
                yield scenario, topology


def row(scenario: str, topology: str, runs: Sequence[dict[str, Any]]) -> str:
    """A line of the table."""
    verdicts = ", ".join(sorted({run["verdict"].upper() for run in runs}))
    outages_s = [run["rto_s"] for run in runs if run["rto_s"] is not None]
    rto = "—"
    if outages_s:
        rto = f"{statistics.median(outages_s):.1f} s ({max(outages_s):.1f})"
    lost = sum(run["lost"] or 0 for run in runs)
    kinds = ", ".join(sorted({one["kind"] for run in runs for one in run["findings"]})) or "none"
    return f"| `{scenario}` | `{topology}` | {verdicts} | {rto} | {lost:,} | {kinds} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="drills of each pair")
    parser.add_argument("--only", nargs="*", default=(), help="names of scenarios")
    parser.add_argument("--topologies", nargs="*", default=(), help="names of topologies")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: list[tuple[str, str, list[dict[str, Any]]]] = []
    for scenario, topology in pairs(options.only, options.topologies):
        runs = []
        for number in range(options.runs):
            run = drill(scenario.name, "--topology", topology.name, "--seed", str(number + 1))
            rto = "none" if run["rto_s"] is None else f"{run['rto_s']:.1f} s"
            tell(
                f"{scenario.name} on {topology.name}, {number + 1} of {options.runs}:"
                f" {run['verdict']}, RTO {rto}"
            )
            runs.append(run)
        found.append((scenario.name, topology.name, runs))
    if options.json:
        print(json.dumps({"machine": machine(), "pairs": found}, indent=2))
        return
    table = "\n".join([HEADING, *(row(*one) for one in found)]) + "\n"
    print(f"{machine()}\n\n{table}", end="")
    if options.write:
        command = f"python benchmarks/scenarios.py --runs {options.runs} --write"
        head = INTRODUCTION.format(command=command, machine=machine(), day=date.today())
        PAGE.write_text(head + table, encoding="utf-8")


if __name__ == "__main__":
    main()
