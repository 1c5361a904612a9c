"""Every scenario on every topology that it fits, on the lab: ``python benchmarks/scenarios.py``.

Each pair is drilled several times, for real; the table shows what verdict.json says. A scenario
fits a topology when nothing that it needs is missing there and it asks for no other durability
(scenarios that bring their own run with it).

All of them take a day. Each drill is therefore a line of ``--into`` (``results/scenarios.jsonl``,
which is part of the repository), appended as soon as it ends: a second call goes on where the first
ended, on whatever machine, and ``--minutes`` ends one early. First comes each scenario on the
topology that it is made for, then the others, then the repeats. A drill that ended UNKNOWN, or
before whose fault the load was already slower than asked for, says nothing of its scenario: it is
run again, with the same seed, up to ``--tries`` times. A drill of a scenario or a topology that has
changed since, in more than its words, counts for nothing; ``--tidy`` takes such lines out.

With ``--write`` what is there becomes ``docs/reference/scenario-results.md``, and the page says
what is not; ``--minutes 0 --write`` drills nothing. A scenario whose verdict on its own topology is
not the one that it exists for is named on the page, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from figures import RESULTS, digest_of, drill, machine, tell

from chaos.scenarios.load import builtin_scenarios, load_scenario
from chaos.scenarios.load import to_toml as toml_of_scenario
from chaos.scenarios.rules import problems_of_pair
from cluster.topology.load import DEFAULT, builtin_topologies, find_topology
from cluster.topology.load import to_toml as toml_of_topology

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "scenario-results.md"
HEADING = """\
| scenario | topology | drills | verdict | RTO, median (worst) | lost | findings |
|---|---|---|---|---|---|---|"""
INTRODUCTION = """\
# What the scenarios show

Drills of the [scenarios](../use/scenarios.md) in the lab: {own} of {all_own} on the topology that
each is made for, and {others} of {all_others} pairs with others that they fit, so far. Written by
`python benchmarks/scenarios.py --write` from {drills} drills of {days}; several ran side by side on
{machines}, each with a load of {rates} operations
a second and site: a machine of its own is faster.

RTO is the time without an acknowledged write, of the site that was without service for the longest
time; "lost" is the sum of acknowledged entries that were gone at the end. A scenario that exists to
show a failure is INVALID when it works, which the table calls "as it must"; "as it may" where it
hangs on a moment.

{wrong}
"""
TOO_BUSY = "load-too-low"
"""The finding of a machine that was too busy in the steady state, before anything was broken."""
TIMEOUT_S = 600.0
"""The longest takes 5 minutes where other drills run beside it."""
LOST = "lost-acknowledged-write"
MUST_FIND: Mapping[str, str] = {
    "async-loss": LOST,
    "cloud-standby-promoted": LOST,
    "fsync-off": LOST,
    "patroni-killed-async": "split-brain",
    "return-unfenced": "still-admitted",
    "rewind-impossible": "stuck-cluster",
    "sealed-by-guc": "seal-broken",
    "slot-fills-disk": "service-not-kept",
    "standby-cluster-promoted": LOST,
    "standby-cluster-split": "split-brain",
    "sticky-sessions": "service-not-kept",
    "trail-holds-values": "value-in-trail",
    "trail-lost-by-rewind": "audit-gap",
    "wrong-failover-by-hand": LOST,
}
"""What the scenarios that must end INVALID on their own topology exist to show
(docs/use/scenarios.md)."""
IN_DOUBT = frozenset({"in-doubt-unresolved"})
MAY_BE_INVALID: Mapping[str, frozenset[str]] = {
    "etcd-restored": frozenset(("acknowledged-on-dead-timeline", LOST, "unit-not-applied-once")),
    "haproxy-loss": IN_DOUBT,
    "host-loss-through-haproxy": IN_DOUBT,
}
"""By scenario, what it may find: whether it does hangs on a moment. Who is promoted after a restore
of etcd lacks the last write where another replica had confirmed that one. Plain psycopg cannot ask
what became of a COMMIT that was under way."""

Pair = tuple[str, str]
"""Names of a scenario and a topology."""
Drill = tuple[Pair, int]
"""With the seed of its load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of the file of results: what is kept of one drill."""

    scenario: str
    topology: str
    digest: str
    """Of both as they were drilled (``digest_of_pair``)."""
    seed: int
    verdict: str
    rto_s: float | None
    lost: int | None
    acknowledged: int
    findings: list[str]
    """Their kinds."""
    rate_per_s: float
    """Operations a second and site that were asked for."""
    beside: int
    """Drills that ran side by side."""
    machine: str
    day: str

    @property
    def pair(self) -> Pair:
        """What was drilled."""
        return self.scenario, self.topology

    @property
    def says_something(self) -> bool:
        """It came to a verdict, on a machine that could carry the load."""
        return self.verdict != "unknown" and TOO_BUSY not in self.findings


@cache
def own_topology(scenario: str) -> str:
    """The name of the topology that a scenario is made for."""
    return load_scenario(scenario).topology or DEFAULT


@cache
def digest_of_pair(pair: Pair) -> str:
    """What a scenario and a topology are, without the words about them."""
    scenario, topology = load_scenario(pair[0]), find_topology(pair[1])
    return digest_of(
        toml_of_scenario(replace(scenario, title="", description="")),
        toml_of_topology(replace(topology, title="")),
    )


@cache
def fitting() -> Sequence[Pair]:
    """Every scenario with every topology that it fits, its own first."""
    topologies = builtin_topologies()
    found = [
        (scenario, topology.name)
        for scenario in builtin_scenarios()
        for topology in topologies
        if not list(problems_of_pair(scenario, topology.with_settings(witness=scenario.witness)))
    ]
    found.sort(key=lambda pair: pair[1] != (pair[0].topology or DEFAULT))
    return [(scenario.name, topology) for scenario, topology in found]


class Results:
    """The drills of one file, a line each, and of this call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
        told = [Told(**json.loads(line)) for line in lines if line.strip()]
        known = set(fitting())
        self._told = [one for one in told if one.pair in known]
        self._told = [one for one in self._told if one.digest == digest_of_pair(one.pair)]

    def add(self, told: Told) -> None:
        """Keep one, also when this process is killed right after."""
        with self._lock:
            self._told.append(told)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(told)) + "\n")

    def tidy(self) -> None:
        """Leave in the file only what counts."""
        lines = "".join(json.dumps(asdict(one)) + "\n" for one in self._told)
        self._path.write_text(lines, encoding="utf-8")

    def of(self, pair: Pair) -> list[Told]:
        """The drills of a pair that count: of every seed the last."""
        return list({one.seed: one for one in self._told if one.pair == pair}.values())

    def is_due(self, pair: Pair, seed: int, tries: int) -> bool:
        """It was drilled less than ``tries`` times, and none of them said anything."""
        with self._lock:
            told = [one for one in self._told if (one.pair, one.seed) == (pair, seed)]
        return len(told) < tries and not any(one.says_something for one in told)


def missing(
    asked: Sequence[Pair], runs: int, results: Results, *, tries: int, until_s: float
) -> Iterator[Drill]:
    """What is still to be drilled: every pair once before any of them twice, what said nothing
    after all others, and none after ``until_s`` on the monotonic clock."""
    for seed in range(1, runs + 1):
        for tried in range(1, tries + 1):
            for pair in asked:
                if time.monotonic() > until_s:
                    return
                if results.is_due(pair, seed, tried):
                    yield pair, seed


def run_all(todo: Iterator[Drill], results: Results, *, beside: int, rate_per_s: float) -> None:
    """Drill what is to be done, ``beside`` at a time."""
    lock = Lock()

    def work() -> None:
        while True:
            with lock:
                one = next(todo, None)
            if one is None:
                return
            pair, seed = one
            options = ("--topology", pair[1], "--seed", str(seed), "--rate", f"{rate_per_s:g}")
            try:
                verdict = drill(pair[0], *options, timeout_s=TIMEOUT_S)
            except RuntimeError as error:
                tell(f"{pair[0]} on {pair[1]}: {error}")
                continue
            told = told_of(pair, seed, verdict, rate_per_s=rate_per_s, beside=beside)
            results.add(told)
            rto = "none" if told.rto_s is None else f"{told.rto_s:.1f} s"
            kinds = ", ".join(told.findings)
            words = f"{told.verdict.upper()}, RTO {rto} {kinds} {why_not_as_promised(told)}"
            tell(f"{pair[0]} on {pair[1]}, seed {seed}: {words.strip()}")

    with ThreadPoolExecutor(beside) as executor:
        for worker in [executor.submit(work) for _ in range(beside)]:
            worker.result()


def told_of(
    pair: Pair, seed: int, verdict: Mapping[str, Any], *, rate_per_s: float, beside: int
) -> Told:
    """What is kept of a verdict.json."""
    return Told(
        scenario=pair[0],
        topology=pair[1],
        digest=digest_of_pair(pair),
        seed=seed,
        verdict=verdict["verdict"],
        rto_s=verdict["rto_s"],
        lost=verdict["lost"],
        acknowledged=verdict["acknowledged"],
        findings=sorted({one["kind"] for one in verdict["findings"]}),
        rate_per_s=rate_per_s,
        beside=beside,
        machine=machine(),
        day=f"{date.today()}",
    )


def why_not_as_promised(told: Told) -> str:
    """In what a drill differs from what its scenario exists for; empty when it does not, or when
    nothing is said of this topology."""
    if told.topology != own_topology(told.scenario):
        return ""
    if not told.says_something:
        return "the machine was too busy to say" if TOO_BUSY in told.findings else "says nothing"
    found, may_find = set(told.findings), MAY_BE_INVALID.get(told.scenario, frozenset())
    if (must_find := MUST_FIND.get(told.scenario)) is not None:
        is_right = told.verdict == "invalid" and must_find in found
        return "" if is_right else f"must be INVALID with {must_find}"
    is_right = told.verdict == "valid" or (
        told.verdict == "invalid" and bool(found) and found <= may_find
    )
    return "" if is_right else "must be VALID"


def row(pair: Pair, drills: Sequence[Told]) -> str:
    """A line of the table."""
    verdicts = ", ".join(sorted({one.verdict.upper() for one in drills}))
    is_own = pair[1] == own_topology(pair[0])
    if is_own and "INVALID" in verdicts and not any(map(why_not_as_promised, drills)):
        verdicts += ", as it must" if pair[0] in MUST_FIND else ", as it may"
    outages_s = [one.rto_s for one in drills if one.rto_s is not None]
    rto = "—"
    if outages_s:
        rto = f"{statistics.median(outages_s):.1f} s ({max(outages_s):.1f})"
    lost = sum(one.lost or 0 for one in drills)
    kinds = ", ".join(sorted({kind for one in drills for kind in one.findings})) or "none"
    cells = (f"`{pair[0]}`", f"`{pair[1]}`", len(drills), verdicts, rto, f"{lost:,}", kinds)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def page_of(results: Results) -> str:
    """The page, with everything that there is."""
    drills = {pair: told for pair in fitting() if (told := results.of(pair))}
    every = [one for told in drills.values() for one in told]
    counts: defaultdict[tuple[bool, bool], int] = defaultdict(int)
    for pair in fitting():
        counts[pair[1] == own_topology(pair[0]), pair in drills] += 1
    wrong, silent = list[str](), list[str]()
    for one in every:
        if why := why_not_as_promised(one):
            line = f"- `{one.scenario}` on `{one.topology}`, seed {one.seed}: {one.verdict.upper()}"
            (wrong if one.says_something else silent).append(f"{line}, {why}.")
    lists = [
        f"{title}:\n\n" + "\n".join(lines) + "\n"
        for title, lines in (("Not as promised", wrong), ("To be run again", silent))
        if lines
    ]
    days = sorted({one.day for one in every})
    head = INTRODUCTION.format(
        own=counts[True, True],
        all_own=counts[True, True] + counts[True, False],
        others=counts[False, True],
        all_others=counts[False, True] + counts[False, False],
        drills=len(every),
        days=" to ".join(dict.fromkeys((days[0], days[-1]))) if days else "no day",
        machines="; ".join(sorted({one.machine for one in every})) or machine(),
        rates=" or ".join(f"{rate:g}" for rate in sorted({one.rate_per_s for one in every})),
        wrong="\n".join(lists)
        or "Every drill of a scenario on its own topology ended as it promises.\n",
    )
    return head + "\n".join([HEADING, *(row(pair, told) for pair, told in drills.items())]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="drills of each pair")
    parser.add_argument("--tries", type=int, default=2, help="of a drill that says nothing")
    parser.add_argument("--only", nargs="*", default=(), help="names of scenarios")
    parser.add_argument("--topologies", nargs="*", default=(), help="names of topologies")
    parser.add_argument("--own", action="store_true", help="each scenario's own topology alone")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after this")
    parser.add_argument("--beside", type=int, default=1, help="drills side by side")
    parser.add_argument("--rate", type=float, default=50, help="operations a second and site")
    parser.add_argument("--into", type=Path, default=RESULTS / "scenarios.jsonl")
    parser.add_argument("--tidy", action="store_true", help="drop lines that count for nothing")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    asked = [
        pair
        for pair in fitting()
        if (not options.only or pair[0] in options.only)
        and (not options.topologies or pair[1] in options.topologies)
        and (not options.own or pair[1] == own_topology(pair[0]))
    ]
    results = Results(options.into)
    if options.tidy:
        results.tidy()
    until_s = time.monotonic() + 60 * options.minutes
    todo = missing(asked, options.runs, results, tries=options.tries, until_s=until_s)
    run_all(todo, results, beside=options.beside, rate_per_s=options.rate)
    drilled = {pair: told for pair in asked if (told := results.of(pair))}
    print("\n".join([HEADING, *(row(pair, told) for pair, told in drilled.items())]))
    if options.write:
        PAGE.write_text(page_of(results), encoding="utf-8")
    every = [one for told in drilled.values() for one in told]
    sys.exit(1 if any(one.says_something and why_not_as_promised(one) for one in every) else 0)


if __name__ == "__main__":
    main()
