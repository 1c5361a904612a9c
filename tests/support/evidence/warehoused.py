"""A small run of the warehouse that is good, written by hand, and what can be made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from support.evidence.tiny import A, B, op, run, scenario

from chaos.evidence.records import FinalRead, LedgerRow, Operation, Scalar
from chaos.evidence.run import Run
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.warehouse import WarehouseOptions
from chaos.workloads.warehouse.profiles import PROFILES
from chaos.workloads.warehouse.tables import FACTS, OF_VISITS, PERSON

RESULTS = 10
SMOKE = PROFILES["smoke"]
COHORT = "30/123.45"


def delivery(number: int, at_s: float, kind: str = "new", source: str = "paris-0") -> Operation:
    work = {"op": "delivery", "source": source, "batch": number, "kind": kind, "received": RESULTS}
    return op(f"feed-{source}-{number - 1}", at_s, work=work)


def finish(chunks: int) -> Operation:
    work = {"op": "finish"}
    return op("feed-paris-0-finish", 9.0, leaves_entry=False, work=work, result={"chunks": chunks})


def withdrawal(number: int, at_s: float) -> Operation:
    work = {"op": "withdrawal", "number": number, "person": 17, "kind": "opposition"}
    return op(f"withdrawal-paris-{number}", at_s, work=work)


def snapshot(at_s: float, marks: Mapping[str, int], **other: Scalar) -> Operation:
    work: dict[str, Scalar] = {
        "op": "snapshot",
        "begin_s": at_s - 0.1,
        "end_s": at_s,
        "reader": B,
        "source": "replica",
        "bound_s": 2.0,
        "marks": json.dumps(marks),
        "withdrawn": json.dumps({"paris": 1} if at_s > 6 else {}),
        "torn": None,
        "kept": 0,
    }
    return op(f"read-{at_s}", at_s, work=work | other)


def on_primary(at_s: float, marks: Mapping[str, int]) -> Operation:
    result = {"marks": json.dumps(marks), "withdrawn": "{}", "torn": None, "kept": 0}
    work = {"op": "snapshot-on-primary"}
    return op(f"look-{at_s}", at_s, leaves_entry=False, work=work, result=result)


def cohort(rows: int = 30, total: str = "123.45", *, complete: bool = True) -> Operation:
    work: dict[str, Scalar] = {"op": "cohort", "rows": rows, "total": total, "complete": complete}
    return op("read-cohort", 8.0, work=work | {"interruptions": 1, "readers": f"{A}, {B}"})


OPERATIONS = (
    delivery(1, 1.0),
    delivery(2, 2.0),
    delivery(3, 3.0, "again"),
    withdrawal(1, 4.0),
    on_primary(3.5, {"paris-0": 3}),
    snapshot(3.2, {"paris-0": 1}),
    snapshot(7.0, {"paris-0": 3}),
    cohort(),
    finish(3),
)


def content(number: int, kind: str = "new", **other: object) -> dict[str, Any]:
    """A delivery as a node holds it: all new; or, where it came again, nothing new."""
    fresh = RESULTS if kind == "new" else 0
    return {
        "op": "delivery",
        "source": "paris-0",
        "batch": number,
        "kind": kind,
        "received": RESULTS,
        "visits": 2 if kind == "new" else 0,
        "inserted": fresh,
        "corrected": 0,
        "unchanged": RESULTS - fresh,
        "refused": 0,
        "erased": 0,
        "held": RESULTS,
        "places": RESULTS,
        "foreign": 0,
    } | other


# One result of the second delivery was of the person who withdrew, and its row is erased.
ROWS: dict[str, dict[str, Any]] = {
    "feed-paris-0-0": content(1),
    "feed-paris-0-1": content(2, erased=1, held=9, places=9),
    "feed-paris-0-2": content(3, "again", erased=1, held=9, places=9),
    "withdrawal-paris-1": {
        "op": "withdrawal",
        "person": 17,
        "kind": "opposition",
        "removed": {"measurement": 11, "visit_occurrence": 1, "person": 1},
        "keys": {"paris-0": 1},
    },
    **{
        found.id: {"op": "access", "what": found.work["op"], "node": B}
        for found in OPERATIONS
        if found.work["op"] in ("snapshot", "cohort")
    },
}
STATE: dict[str, str] = {
    "watermark:paris-0": "3",
    "batches:paris-0": json.dumps({"number": 3, "distinct": 3, "last": 3}),
    "keys:paris-0": str(2 * RESULTS - 1),
    "wrong-values": "0",
    "ids-twice": "0",
    "ids-ahead-of-sequence": "0",
    "cohort": COHORT,
    "withdrawn-kept:record": "0",
    "withdrawn-kept:patient": "0",
    **{f"rows:{table.name}": str(SMOKE.rows(table)) for table in FACTS},
    **{f"withdrawn-kept:{table.name}": "0" for table in (PERSON, *FACTS)},
    **{f"no-person:{table.name}": "0" for table in FACTS},
    **{f"no-visit:{table.name}": "0" for table in OF_VISITS},
    "rows:person": "5999",
    "rows:measurement": str(SMOKE.patients * 18 + 2 * RESULTS - 11),
    "rows:visit_occurrence": str(SMOKE.patients * 5 + 4 - 1),
}


def act(number: int, what: str, project: int = 1) -> tuple[Operation, dict[str, Any]]:
    """An act of the steward of Paris, as an operation and as a node holds it."""
    role = f"ws_steward_paris_{project}"
    work = {"op": "stewardship", "site": "paris", "number": number, "project": role, "act": what}
    return op(f"steward-paris-{number}", 4.0 + number / 10, work=work), work


STEWARD = (
    *(act(1, "open"), act(2, "admit"), act(3, "dismiss"), act(4, "admit")),
    *(act(5, "open", 2), act(6, "admit", 2), act(7, "dismiss", 2), act(8, "close", 2)),
)
"""The first project stays open with its member, the second one is closed."""
SPACES = {
    "workspace:ws_steward_paris_1": json.dumps(
        {"schema": True, "members": ["steward_paris"], "persons": 1000}
    ),
    "workspace-cohort": "1000",
}


def steward_run(
    *, without: Sequence[int] = (), state: Mapping[str, str | None] | None = None
) -> Run:
    """A good run with workspaces; of the acts ``without`` a node has no row, and ``state`` differs
    (None: it is missing)."""
    rows = {one.id: row for one, row in STEWARD if row["number"] not in without}
    kept = {**SPACES, **(state or {})}
    return warehouse_run(
        [*OPERATIONS, *(one for one, _ in STEWARD)],
        rows=rows,
        state={name: value for name, value in kept.items() if value is not None},
        workspaces=True,
    )


def warehouse_run(
    operations: Sequence[Operation] = OPERATIONS,
    *,
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    state: Mapping[str, str] | None = None,
    workspaces: bool = False,
) -> Run:
    """A run whose two nodes hold the same; ``rows`` and ``state`` differ from the good ones."""
    held = {**ROWS, **(rows or {})}
    kept = {**STATE, **(state or {})}
    reads = [
        FinalRead(
            node=node,
            rows=tuple(LedgerRow(id=id_, content=json.dumps(row)) for id_, row in held.items()),
            state=tuple(LedgerRow(id=id_, content=value) for id_, value in kept.items()),
            timeline=1,
            lsn=10_000,
            is_primary=node == A,
        )
        for node in (A, B)
    ]
    spec = WorkloadSpec(options=WarehouseOptions(workspaces=workspaces))
    # Of a handful of operations no rate is asked.
    no_rate: dict[str, Scalar] = {"rate_per_s": None}
    return run(operations, reads=reads, asked=scenario(workload=spec), settings=no_rate)


def bad_warehouse() -> Run:
    """Everything of it is wrong that can be."""
    operations = [
        *(one for one in OPERATIONS if one.work["op"] not in ("finish", "cohort")),
        snapshot(7.5, {}, torn="paris-0"),
        cohort(29),
    ]
    state = {
        "watermark:paris-0": "4",
        "no-visit:note": "1",
        "ids-twice": "1",
        "not-logged:feed.record": "u",
        "wrong-values": "1",
        "withdrawn-kept:note": "1",
        "workspace:ws_steward_paris_1": json.dumps({"schema": True, "members": [], "persons": 3}),
        "workspace-cohort": "2",
    }
    changed = content(3, "again", foreign=1, inserted=1)
    rows = {"feed-paris-0-2": changed}
    return warehouse_run(operations, rows=rows, state=state, workspaces=True)
