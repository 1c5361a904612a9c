"""Every scenario on every topology that it fits, on the lab: ``python benchmarks/scenarios.py``.

Each pair is drilled several times, for real; the table shows what verdict.json says. A scenario
fits a topology when nothing that it needs is missing there and it asks for no other durability
(scenarios that bring their own run with it).

All of them take a day. Each drill is therefore a line of ``--into``, appended as soon as it ends: a
second call goes on where the first ended, and ``--minutes`` ends one early. First comes each
scenario on the topology that it is made for, then the others, then the repeats. With ``--write``
what is there becomes ``docs/reference/scenario-results.md``, and the page says what is not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any

from figures import drill, machine, tell

from chaos.scenarios.load import builtin_scenarios
from chaos.scenarios.rules import problems_of_pair
from cluster.topology.load import DEFAULT, builtin_topologies

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "scenario-results.md"
HEADING = """\
| scenario | topology | drills | verdict | RTO, median (worst) | lost | findings |
|---|---|---|---|---|---|---|"""
INTRODUCTION = """\
# What the scenarios show

Every scenario on the topology that it is made for, and on others that it fits, on the lab: {done}
of {all} pairs so far. Written by `python benchmarks/scenarios.py --write` on {machine}, {day}.

RTO is the time without an acknowledged write, of the site that was without service for the longest
time; "lost" is the sum of acknowledged entries that were gone at the end. A scenario that exists to
show a loss is INVALID when it works.{beside}

"""
BESIDE = """ {beside} drills ran side by side, each with its load at
{rate:g} operations a second and site: a machine of its own is faster."""

Pair = tuple[str, str]
"""Names of a scenario and a topology."""
Drill = tuple[Pair, int]
"""With the seed of its load."""
Told = Mapping[str, Any]
"""What is kept of one verdict.json."""
KEPT = ("verdict", "rto_s", "lost", "acknowledged")


def pairs(only: Sequence[str], topologies: Sequence[str]) -> list[Pair]:
    """What is drilled: every scenario with every topology that it fits, its own first."""
    own: list[Pair] = []
    others: list[Pair] = []
    for scenario in builtin_scenarios():
        for topology in builtin_topologies():
            asked = (not only or scenario.name in only) and (
                not topologies or topology.name in topologies
            )
            fitting = topology.with_settings(witness=scenario.witness)
            if not asked or list(problems_of_pair(scenario, fitting)):
                continue
            is_own = topology.name == (scenario.topology or DEFAULT)
            (own if is_own else others).append((scenario.name, topology.name))
    return own + others


class Results:
    """The drills of one file, a line each, and of this call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self.drills: defaultdict[Pair, dict[int, Told]] = defaultdict(dict)
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            one = json.loads(line)
            self.drills[one["scenario"], one["topology"]][one["seed"]] = one

    def add(self, pair: Pair, seed: int, verdict: Mapping[str, Any]) -> None:
        """Keep one, also when this process is killed right after."""
        kinds = sorted({one["kind"] for one in verdict["findings"]})
        told = {name: verdict[name] for name in KEPT}
        one = {"scenario": pair[0], "topology": pair[1], "seed": seed, **told, "findings": kinds}
        with self._lock:
            self.drills[pair][seed] = one
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")


def missing(
    asked: Sequence[Pair], runs: int, results: Results, *, until_s: float
) -> Iterator[Drill]:
    """What is still to be drilled: every pair once before any of them twice, and none after
    ``until_s`` on the monotonic clock."""
    for seed in range(1, runs + 1):
        for pair in asked:
            if time.monotonic() > until_s:
                return
            if seed not in results.drills[pair]:
                yield pair, seed


def run_all(todo: Iterator[Drill], results: Results, *, beside: int, rate: float) -> None:
    """Drill what is to be done, ``beside`` at a time."""
    lock = Lock()

    def work() -> None:
        while True:
            with lock:
                one = next(todo, None)
            if one is None:
                return
            pair, seed = one
            options = ("--topology", pair[1], "--seed", str(seed), "--rate", str(rate))
            try:
                verdict = drill(pair[0], *options)
            except RuntimeError as error:
                tell(f"{pair[0]} on {pair[1]}: {error}")
                continue
            results.add(pair, seed, verdict)
            rto = "none" if verdict["rto_s"] is None else f"{verdict['rto_s']:.1f} s"
            tell(f"{pair[0]} on {pair[1]}, seed {seed}: {verdict['verdict']}, RTO {rto}")

    with ThreadPoolExecutor(beside) as executor:
        for worker in [executor.submit(work) for _ in range(beside)]:
            worker.result()


def row(pair: Pair, drills: Sequence[Told]) -> str:
    """A line of the table."""
    verdicts = ", ".join(sorted({one["verdict"].upper() for one in drills}))
    outages_s = [one["rto_s"] for one in drills if one["rto_s"] is not None]
    rto = "—"
    if outages_s:
        rto = f"{statistics.median(outages_s):.1f} s ({max(outages_s):.1f})"
    lost = sum(one["lost"] or 0 for one in drills)
    kinds = ", ".join(sorted({kind for one in drills for kind in one["findings"]})) or "none"
    cells = (f"`{pair[0]}`", f"`{pair[1]}`", len(drills), verdicts, rto, f"{lost:,}", kinds)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="drills of each pair")
    parser.add_argument("--only", nargs="*", default=(), help="names of scenarios")
    parser.add_argument("--topologies", nargs="*", default=(), help="names of topologies")
    parser.add_argument("--own", action="store_true", help="each scenario's own topology alone")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after this")
    parser.add_argument("--beside", type=int, default=1, help="drills side by side")
    parser.add_argument("--rate", type=float, default=50, help="operations a second and site")
    parser.add_argument("--into", type=Path, default=Path("scenario-results.jsonl"))
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    asked = pairs(options.only, options.topologies)
    if options.own:
        first = {scenario: (scenario, topology) for scenario, topology in reversed(asked)}
        asked = [pair for pair in asked if first[pair[0]] == pair]
    results = Results(options.into)
    until_s = time.monotonic() + 60 * options.minutes
    todo = missing(asked, options.runs, results, until_s=until_s)
    run_all(todo, results, beside=options.beside, rate=options.rate)
    rows = [row(pair, list(drills.values())) for pair in asked if (drills := results.drills[pair])]
    table = "\n".join([HEADING, *rows]) + "\n"
    print(f"{machine()}\n\n{table}", end="")
    if options.write:
        beside = ""
        if options.beside > 1:
            beside = BESIDE.format(beside=options.beside, rate=options.rate)
        head = INTRODUCTION.format(
            done=len(rows),
            all=len(pairs((), ())),
            machine=machine(),
            day=date.today(),
            beside=beside,
        )
        PAGE.write_text(head + table, encoding="utf-8")


if __name__ == "__main__":
    main()
