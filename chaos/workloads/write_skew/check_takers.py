"""Write-skew: whether at most one took each place, as far as the isolation level promises it.

Two that took one place

- one after the other: no level allows it, since the second one had to find the first;
- at the same time: a failure at SERIALIZABLE, and told at the other levels, which allow it
  (PostgreSQL manual, 13.2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from chaos.checkers import needs
from chaos.checkers.authority import authority
from chaos.checkers.base import Checker
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.wording import counted
from chaos.workloads.answers import FORGIVEN, is_nothing_promised
from chaos.workloads.native import placed, units_of
from chaos.workloads.write_skew import WriteSkewOptions

TAKEN_TWICE = FindingKind(
    word="taken-twice",
    meaning="INVALID: two transactions took a place that only one may take: one after the other, "
    "or at the same time at SERIALIZABLE; or one found a taker that is not there. VALID: after a "
    "failover with commits that wait for no replica.",
    heading="Place that was taken twice",
    proved="a place was taken twice",
    undecided="it is not known whether a place was taken twice",
)


def check(run: Run) -> list[Finding]:
    """One finding for each way in which a place may not be taken."""
    forgiven = is_nothing_promised(run)
    together, one_by_one = _twice(run)
    wrong = [
        ("taken by two transactions one after the other", one_by_one),
        ("found taken by a transaction that is not there", list(_phantoms(run))),
    ]
    if _options(run).isolation == "serializable":
        wrong.append(("taken by two transactions at the same time", together))
    return [_finding(run, words, pairs, forgiven=forgiven) for words, pairs in wrong if pairs]


def told(run: Run) -> tuple[str, ...]:
    """How many places there were, and how many were taken twice as the level allows."""
    together, _ = _twice(run)
    isolation = _options(run).isolation
    places = counted(len(_takers(run)), "place")
    if not together:
        return (f"{places}, each taken by one transaction.",)
    twice = len({one.work["place"] for one, _ in together})
    return (f"{places}, {twice:,} taken by several at the same time, as {isolation} allows.",)


def _options(run: Run) -> WriteSkewOptions:
    options = run.info.scenario.workload.options
    assert isinstance(options, WriteSkewOptions)  # only such runs are judged here
    return options


def _takers(run: Run) -> dict[int, list[Operation]]:
    """By place, those who took it and are there at the end."""
    units = {one.id: one for one in units_of(run)}
    takers: dict[int, list[Operation]] = defaultdict(list)
    primary = authority(run)
    for row in primary.state if primary is not None else ():
        if row.id in units:
            takers[int(row.content)].append(units[row.id])
    return takers


def _twice(run: Run) -> tuple[list[Sequence[Operation]], list[Sequence[Operation]]]:
    """Two takers of one place: those at the same time, and those one after the other."""
    together: list[Sequence[Operation]] = []
    one_by_one: list[Sequence[Operation]] = []
    for takers in _takers(run).values():
        for one, other in combinations(sorted(takers, key=lambda taker: taker.begin_s), 2):
            is_over = one.outcome == "ok" and one.end_s < other.begin_s
            (one_by_one if is_over else together).append((one, other))
    return together, one_by_one


def _phantoms(run: Run) -> Iterator[Sequence[Operation]]:
    """Who found a taker that is not there at the end, if a node has the last word on that."""
    if authority(run) is None:
        return
    there = {taker.id for takers in _takers(run).values() for taker in takers}
    for one in units_of(run):
        found = str(one.result.get("found", ""))
        if any(taker not in there for taker in found.split(",") if taker):
            yield (one,)


def _finding(
    run: Run, words: str, pairs: Sequence[Sequence[Operation]], *, forgiven: bool
) -> Finding:
    details = {one.operation.id: one.details for one in placed(units_of(run))}
    proofs: list[Evidence] = [
        {"place": one.work["place"], **details[one.id], "found": one.result.get("found")}
        for pair in pairs
        for one in pair
    ]
    places = len({proof["place"] for proof in proofs})
    first = pairs[0]
    return Finding(
        kind=TAKEN_TWICE,
        verdict=Verdict.VALID if forgiven else Verdict.INVALID,
        summary=f"{counted(places, 'place was', 'places were')} {words}; the first, "
        f"{first[0].work['place']}, by {' and '.join(one.id for one in first)}."
        f"{FORGIVEN if forgiven else ''}",
        evidence=tuple(proofs),
    )


CHECKER = Checker(
    name="takers",
    question="No place was taken twice where the isolation level forbids it.",
    check=check,
    proves=told,
    finds=(TAKEN_TWICE,),
    needs=(needs.histories, needs.one_primary),
    workloads=("write-skew",),
)
