"""Drills in a row, each with another seed: ``python benchmarks/soak.py --workload transfers``.

What one drill shows may be luck: where in its loops the cluster was struck decides which commits
were in doubt. Prints a line a run, then medians and totals; exit 1 if anything was found, 3 if a
drill could not run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from figures import drill, machine, spread, tell

from chaos.wording import counted
from chaos.workloads.registry import WORKLOADS

RUNS = 20
SEED = 1000
"""Of the first run; the next ones count up from it, so that any of them can be run again."""

COUNTS = {
    "acknowledged": "acked",
    "lost": "lost",
    "duplicated": "dup",
    "phantom": "phantom",
    "info_unresolved": "info",
    "resolved": "resolved",
}
"""What is counted, and its heading. ``info_unresolved``: operations that were left in doubt though
they could have been resolved. ``resolved``: in doubt, and resolved."""


def figures_of(verdict: dict[str, Any]) -> dict[str, int | None]:
    """The counts of one run, from its ``verdict.json``; None: that could not be told."""

    def evidence(kind: str) -> int:
        return sum(len(one["evidence"]) for one in verdict["findings"] if one["kind"] == kind)

    return {
        "acknowledged": verdict["acknowledged"],
        "lost": verdict["lost"],
        "duplicated": verdict["duplicated"],
        "phantom": evidence("phantom-write"),
        "info_unresolved": evidence("in-doubt-unresolved"),
        "resolved": verdict["operations"]["resolved"],
    }


def shown(values: Iterable[object]) -> str:
    """One row of the table."""
    return " ".join(f"{'?' if value is None else value!s:>8}" for value in values)


def line_of(seed: int, verdict: dict[str, Any]) -> str:
    """One run."""
    rto_s = verdict["rto_s"]
    rto = "none" if rto_s is None else f"{rto_s:.1f}"
    return shown([seed, verdict["verdict"], rto, *figures_of(verdict).values()])


def summary(verdicts: Sequence[dict[str, Any]]) -> list[str]:
    """Medians and totals. A count that one run could not tell makes the total unknown."""
    words = [verdict["verdict"] for verdict in verdicts]
    kinds = ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    lines = [f"{counted(len(verdicts), 'run', 'runs')}: {kinds}"]
    rtos_s = [verdict["rto_s"] for verdict in verdicts if verdict["rto_s"] is not None]
    lines.append(f"  RTO              {spread(rtos_s, 's')}")
    found = [figures_of(verdict) for verdict in verdicts]
    for name in COUNTS:
        counts = [one[name] for one in found]
        known = [count for count in counts if count is not None]
        total = f"{sum(known):,}" if len(known) == len(counts) else "unknown"
        lines.append(f"  {name:16} {total} in all; {spread(known, 'a run', 0)}")
    for verdict in verdicts:
        for one in verdict["findings"]:
            lines.append(f"  seed {verdict['seed']}: {one['kind']}: {one['summary']}")
    return lines


def has_failed(verdict: dict[str, Any]) -> bool:
    """Anything but a clean answer."""
    return verdict["verdict"] != "valid" or bool(verdict["findings"])


def run_one(arguments: Sequence[str], seed: int, keep_failed: Path | None) -> dict[str, Any]:
    """One drill; its run folder is kept where it failed and somebody wants it."""
    if keep_failed is None:
        return drill(*arguments, "--seed", str(seed))
    folder = keep_failed / f"seed-{seed}"
    verdict = drill(*arguments, "--seed", str(seed), out=folder)
    if not has_failed(verdict):
        shutil.rmtree(folder)
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", default="host-loss")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--workload", choices=tuple(WORKLOADS), default="ledger")
    parser.add_argument("--no-witness", action="store_true", help="stock Patroni")
    parser.add_argument("--seed", type=int, default=SEED, help="of the first run")
    parser.add_argument("--keep-failed", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least 1")
    arguments = [options.scenario, "--workload", options.workload]
    arguments += ["--no-witness"] if options.no_witness else []
    verdicts: list[dict[str, Any]] = []
    tell(shown(["seed", "verdict", "RTO s", *COUNTS.values()]))
    for seed in range(options.seed, options.seed + options.runs):
        try:
            verdicts.append(run_one(arguments, seed, options.keep_failed))
        except RuntimeError as error:
            tell(str(error))
            return 3
        tell(line_of(seed, verdicts[-1]))
    if options.json:
        print(json.dumps({"machine": machine(), "runs": verdicts}, indent=2))
    else:
        print(machine())
        print("\n".join(summary(verdicts)))
    return int(any(has_failed(verdict) for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
