"""Members' reads: one snapshot, no older than its bound, and a cohort that is complete.

- A snapshot, on a replica or the primary, shows every source at its watermark, and nobody who has
  withdrawn (W2).
- It shows every delivery and every withdrawal that was acknowledged longer ago than its bound; on
  the primary the bound is 0 (W4, S7). A watermark that went back would be found by it.
- A cohort that was read page by page, across interruptions and nodes, has every row once (W1): its
  rows never change, so every complete read has the count and the sum that the nodes have at the
  end.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate

from chaos.checkers import needs
from chaos.checkers.authority import authority
from chaos.checkers.base import Checker
from chaos.evidence.given_up import given_up, given_up_ids
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Evidence, Finding, FindingKind, Verdict, invalid

TORN_SNAPSHOT = FindingKind(
    word="torn-snapshot",
    meaning="INVALID: a read of one snapshot saw a watermark without its deliveries, or facts of "
    "somebody who had withdrawn in that same snapshot.",
    heading="Snapshot that is torn",
    proved="snapshots of the warehouse were torn",
    undecided="it is not known whether every snapshot was whole",
)

STALE_SNAPSHOT = FindingKind(
    word="stale-snapshot",
    meaning="INVALID: a read lacks a delivery or a withdrawal that was acknowledged longer before "
    "it than its bound.",
    heading="Snapshot older than its bound",
    proved="snapshots of the warehouse were older than promised",
    undecided="it is not known whether every snapshot was as new as promised",
)

WRONG_COHORT = FindingKind(
    word="wrong-cohort",
    meaning="INVALID: a cohort that was read to its end has other rows than the warehouse.",
    heading="Cohort that is not complete",
    proved="cohorts were read with rows missing or doubled",
    undecided="it is not known whether the cohorts were complete",
)

AckedUpTo = tuple[Sequence[float], Sequence[int]]
"""Moments in order, and the highest number that was acknowledged up to each."""


def check(run: Run) -> list[Finding]:
    """One finding a kind; UNKNOWN where nothing was read that could be judged."""
    operations = [op for history in run.histories for op in history.operations]
    snapshots = [(op, seen) for op in operations if (seen := _snapshot(op)) is not None]
    return [
        *_no_cohort(operations),
        *invalid(
            kind=TORN_SNAPSHOT,
            summary="Snapshots were torn: {n}.",
            evidence=(proof for one in snapshots if (proof := _torn(*one)) is not None),
        ),
        *invalid(
            kind=STALE_SNAPSHOT,
            summary="Snapshots were older than promised: {n}.",
            evidence=_stale(run, operations, snapshots),
        ),
        *invalid(
            kind=WRONG_COHORT,
            summary="Cohorts were read to their end with other rows: {n}.",
            evidence=_wrong_cohorts(run, operations),
        ),
    ]


def _no_cohort(operations: Sequence[Operation]) -> list[Finding]:
    """UNKNOWN where no cohort was read to its end: then nothing is known of them."""
    cohorts = [op for op in operations if op.work.get("op") == "cohort"]
    if any(op.work.get("complete") for op in cohorts):
        return []
    evidence = tuple({"id": op.id, "last_error": op.work.get("last_error")} for op in cohorts)
    return [
        Finding(
            kind=INCOMPLETE_EVIDENCE,
            verdict=Verdict.UNKNOWN,
            summary="No cohort was read to its end: it cannot be told whether one is complete.",
            evidence=evidence,
        )
    ]


def _snapshot(operation: Operation) -> Mapping[str, object] | None:
    """What a snapshot showed; None: it is none, or showed nothing."""
    if operation.work.get("op") == "snapshot":
        return operation.work
    if operation.work.get("op") == "snapshot-on-primary" and "marks" in operation.result:
        begin = {"begin_s": operation.begin_s, "bound_s": 0.0, "reader": operation.node}
        return {**begin, **operation.result}
    return None


def _torn(operation: Operation, seen: Mapping[str, object]) -> Evidence | None:
    if not seen["torn"] and not seen["kept"]:
        return None
    reader, torn, kept = str(seen["reader"]), seen["torn"], seen["kept"]
    return {"id": operation.id, "node": reader, "torn": str(torn), "withdrawn_rows": str(kept)}


def _stale(
    run: Run,
    operations: Sequence[Operation],
    snapshots: Sequence[tuple[Operation, Mapping[str, object]]],
) -> Iterator[Evidence]:
    """Snapshots that lack what was acknowledged before their bound.

    What a restore was allowed to take is not due after it, but for withdrawals: nobody comes back.
    """
    withdrawn = _timelines(operations, "withdrawal", None, "number")
    before = {
        "marks": _timelines(operations, "delivery", "source", "batch"),
        "withdrawn": withdrawn,
    }
    gone = given_up_ids(run)
    left = [one for one in operations if one.id not in gone]
    after = {"marks": _timelines(left, "delivery", "source", "batch"), "withdrawn": withdrawn}
    dead_s = max((one.dead_s for one in given_up(run)), default=math.inf)
    for operation, seen in snapshots:
        begin_s = float(str(seen["begin_s"]))
        due_s = begin_s - float(str(seen["bound_s"]))
        for what, timelines in (before if begin_s < dead_s else after).items():
            shown = json.loads(str(seen[what]))
            for name, timeline in timelines.items():
                due = _at(timeline, due_s)
                if int(shown.get(name, 0)) < due:
                    yield {
                        "id": operation.id,
                        "node": str(seen["reader"]),
                        "of": name,
                        "shown": shown.get(name, 0),
                        "acknowledged": due,
                        "begin_s": float(str(seen["begin_s"])),
                        "bound_s": float(str(seen["bound_s"])),
                    }


def _timelines(
    operations: Sequence[Operation], what: str, name: str | None, number: str
) -> dict[str, AckedUpTo]:
    """By source (or site, where ``name`` is None), what was acknowledged until when."""
    ends: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for op in operations:
        if op.outcome == "ok" and op.work.get("op") == what and op.ended_s is not None:
            of = op.site if name is None else str(op.work[name])
            ends[of].append((op.ended_s, int(str(op.work[number]))))
    timelines: dict[str, AckedUpTo] = {}
    for of, known in ends.items():
        known.sort()
        timelines[of] = ([t for t, _ in known], list(accumulate((n for _, n in known), max)))
    return timelines


def _at(timeline: AckedUpTo, t_s: float) -> int:
    """The highest number that was acknowledged before ``t_s``; 0: none."""
    moments, numbers = timeline
    index = bisect_left(moments, t_s)
    return numbers[index - 1] if index else 0


def _wrong_cohorts(run: Run, operations: Sequence[Operation]) -> Iterator[Evidence]:
    primary = authority(run)
    if primary is None:
        return
    held = next((row.content for row in primary.state if row.id == "cohort"), None)
    if held is None:
        return
    rows, _, total = held.partition("/")
    for op in operations:
        if op.work.get("op") != "cohort" or not op.work.get("complete"):
            continue
        read = (int(str(op.work["rows"])), Decimal(str(op.work["total"])))
        if read != (int(rows), Decimal(total)):
            yield {
                "id": op.id,
                "readers": op.work.get("readers"),
                "interruptions": op.work.get("interruptions"),
                "rows": read[0],
                "rows_due": int(rows),
                "total": str(read[1]),
                "total_due": total,
            }


COHORTS = Checker(
    name="warehouse-reads",
    question="Every snapshot was one, no older than promised, and every cohort was complete.",
    check=check,
    finds=(TORN_SNAPSHOT, STALE_SNAPSHOT, WRONG_COHORT, INCOMPLETE_EVIDENCE),
    needs=(needs.histories, needs.final_reads, needs.one_primary),
    workloads=("warehouse",),
)
