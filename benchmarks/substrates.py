"""Every scenario on the lab and on containers, side by side: ``python benchmarks/substrates.py``.

The same scenarios, settings and load; the table shows what each drill's verdict.json says. It ends
with 1 when the two disagree in a verdict, a check or a kind of finding.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from figures import drill, machine, tell

SCENARIOS = ("host-loss", "process-crash", "switchover", "steady", "async-loss")
SUBSTRATES = ("lab", "compose")
HEADING = """\
| scenario | on | verdict | checks valid | acknowledged / lost | RTO | its parts, s | findings |
|---|---|---|---|---|---|---|---|"""


def judged(run: dict[str, Any]) -> tuple[Any, ...]:
    """What both substrates must agree on."""
    checks = tuple(sorted((one["name"], one["verdict"]) for one in run["checkers"]))
    kinds = tuple(sorted({one["kind"] for one in run["findings"]}))
    return run["verdict"], checks, kinds


def row(scenario: str, substrate: str, run: dict[str, Any]) -> str:
    """A line of the table."""
    phases = run["rto_phases_s"] or {}
    parts = ", ".join(f"{took_s:.2f}" for took_s in phases.values()) or "—"
    rto = "—" if run["rto_s"] is None else f"{run['rto_s']:.1f} s"
    kinds = ", ".join(sorted({one["kind"] for one in run["findings"]})) or "none"
    lost = f"{run['acknowledged']:,} / {run['lost']:,}"
    checks = sum(one["verdict"] == "valid" for one in run["checkers"])
    return (
        f"| {scenario} | {substrate} | {run['verdict'].upper()} | {checks} of"
        f" {len(run['checkers'])} | {lost} | {rto} | {parts} | {kinds} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SCENARIOS, help="one scenario")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for scenario in [options.only] if options.only else SCENARIOS:
        for substrate in SUBSTRATES:
            run = drill(scenario, "--no-witness", "--substrate", substrate, "--seed", "7")
            tell(f"{scenario} on {substrate}: {run['verdict']}")
            found.setdefault(scenario, {})[substrate] = run
    if options.json:
        print(json.dumps({"machine": machine(), "runs": found}, indent=2))
    else:
        print(f"{machine()}\n")
        print(HEADING)
        for scenario, runs in found.items():
            for substrate, run in runs.items():
                print(row(scenario, substrate, run))
    differing = [name for name, runs in found.items() if len({*map(judged, runs.values())}) > 1]
    if differing:
        sys.exit(f"the substrates disagree on {', '.join(differing)}")


if __name__ == "__main__":
    main()
