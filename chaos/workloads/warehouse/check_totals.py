"""The warehouse as a whole, on every node: references, ids, totals, and who must not be in it.

Each node is held against itself: everything was read in one snapshot. How many rows a table must
have follows from the profile, and from what the deliveries and withdrawals on that node say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.checkers.by_node import NodeLook, on_each_node
from chaos.evidence.given_up import given_up_ids
from chaos.evidence.records import FinalRead, Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind
from chaos.workloads.warehouse import WarehouseOptions
from chaos.workloads.warehouse.check_feeds import deliveries_of
from chaos.workloads.warehouse.profiles import PROFILES, Profile
from chaos.workloads.warehouse.tables import FACTS, MEASUREMENT, PERSON, VISIT

BROKEN_REFERENCE = FindingKind(
    word="broken-reference",
    meaning="INVALID: a fact has no person, or no stay of that person.",
    heading="Fact without its person or stay",
    proved="facts had lost their person or their stay",
    undecided="it is not known whether every fact has its person and its stay",
)

REUSED_ID = FindingKind(
    word="reused-id",
    meaning="INVALID: an id is there twice, or its sequence is behind it and will give it again.",
    heading="Id that is not unique",
    proved="ids were given twice, or will be",
    undecided="it is not known whether the ids are unique",
)

UNLOGGED_TABLE = FindingKind(
    word="unlogged-table",
    meaning="INVALID: a table of the warehouse is not logged: it is empty after a failover.",
    heading="Table that a failover empties",
    proved="tables were not logged, and a failover empties them",
    undecided="it is not known whether all tables are logged",
)

UNRECONCILED_ROWS = FindingKind(
    word="unreconciled-rows",
    meaning="INVALID: a table, or what is kept of a source, has other rows than the profile, the "
    "deliveries and the withdrawals add up to.",
    heading="Rows that do not add up",
    proved="the rows of the warehouse did not add up to what was delivered",
    undecided="it is not known whether the rows add up",
)

WITHDRAWN_PATIENT = FindingKind(
    word="withdrawn-patient",
    meaning="INVALID: something is still, or again, there of a patient who had withdrawn; or a "
    "restore has undone an acknowledged withdrawal.",
    heading="Patient who had withdrawn",
    proved="patients who had withdrawn were still in the warehouse",
    undecided="it is not known whether those who withdrew are gone",
)


def check(run: Run) -> list[Finding]:
    """One finding a node and kind."""
    options = run.info.scenario.workload.options
    assert isinstance(options, WarehouseOptions)  # only such runs are judged here
    profile = PROFILES[options.profile]
    withdrawals = _that_a_restore_may_undo(run)
    return on_each_node(
        (read for read in run.final_reads if read.error is None),
        NodeLook(
            kind=BROKEN_REFERENCE,
            summary="On {node} facts have no person or no stay, in tables: {n}.",
            proofs=lambda read: _counts(read, "no-person:", "no-visit:"),
        ),
        NodeLook(
            kind=REUSED_ID,
            summary="On {node} ids of measurements or stays are not unique, or will not be.",
            proofs=lambda read: _counts(read, "ids-"),
        ),
        NodeLook(
            kind=UNLOGGED_TABLE,
            summary="On {node} tables or sequences of the warehouse are not logged: {n}.",
            proofs=_unlogged,
        ),
        NodeLook(
            kind=UNRECONCILED_ROWS,
            summary="On {node} totals are not what was delivered and withdrawn: {n}.",
            proofs=lambda read: _unreconciled(read, profile),
        ),
        NodeLook(
            kind=WITHDRAWN_PATIENT,
            summary="On {node} tables have rows of patients who had withdrawn: {n}.",
            proofs=lambda read: _counts(read, "withdrawn-kept:"),
        ),
        NodeLook(
            kind=WITHDRAWN_PATIENT,
            summary="On {node} patients are back who had withdrawn before the restore: {n}.",
            proofs=lambda read: _undone(read, withdrawals),
        ),
    )


def _that_a_restore_may_undo(run: Run) -> list[Operation]:
    """Acknowledged withdrawals that came after the point in time of a restore. That the others are
    there is what ``lost-entries`` says; these it leaves out."""
    gone = given_up_ids(run)
    operations = [one for history in run.histories for one in history.operations if one.id in gone]
    return [one for one in operations if one.outcome == "ok" and one.work.get("op") == "withdrawal"]


def _undone(read: FinalRead, withdrawals: Sequence[Operation]) -> Iterator[Evidence]:
    """A withdrawal and its record were one transaction: where the record is missing, the patient
    is there."""
    there = {row.id for row in read.rows}
    for one in withdrawals:
        if one.id not in there:
            person, kind = one.work.get("person"), one.work.get("kind")
            yield {"node": read.node, "id": one.id, "person": person, "kind": kind}


def _counts(read: FinalRead, *prefixes: str) -> Iterator[Evidence]:
    """What was counted under these names and should be 0."""
    for row in read.state:
        if row.id.startswith(prefixes) and row.content != "0":
            yield {"node": read.node, "counted": row.id, "rows": int(row.content)}


def _unlogged(read: FinalRead) -> Iterator[Evidence]:
    for row in read.state:
        if row.id.startswith("not-logged:"):
            yield {"node": read.node, "table": row.id.removeprefix("not-logged:")}


def _unreconciled(read: FinalRead, profile: Profile) -> Iterator[Evidence]:
    """Totals that are not what they should be."""
    found = {row.id: row.content for row in read.state}
    due = {f"rows:{table.name}": profile.rows(table) for table in (PERSON, *FACTS)}
    due["wrong-values"] = 0
    keys: Counter[str] = Counter()
    for _, delivery in deliveries_of(read):
        due[f"rows:{MEASUREMENT.name}"] += int(delivery["inserted"])
        due[f"rows:{VISIT.name}"] += int(delivery["visits"])
        keys[f"keys:{delivery['source']}"] += int(delivery["inserted"])
    for row in read.rows:
        content = json.loads(row.content)
        if content.get("op") != "withdrawal":
            continue
        for name, removed in content["removed"].items():
            if f"rows:{name}" in due:
                due[f"rows:{name}"] -= int(removed)
        for source, removed in content["keys"].items():
            keys[f"keys:{source}"] -= int(removed)
    # A source of which nothing is left has no line.
    for name in sorted(due.keys() | keys.keys() | {n for n in found if n.startswith("keys:")}):
        should = due.get(name, keys[name])
        held = int(found.get(name, "0" if name.startswith("keys:") else "-1"))
        if held != should:
            yield {"node": read.node, "total": name, "held": held, "should_be": should}


TOTALS = Checker(
    name="warehouse-totals",
    question="Every fact has its person and stay, all rows add up, and who withdrew is gone.",
    check=check,
    finds=(
        BROKEN_REFERENCE,
        REUSED_ID,
        UNLOGGED_TABLE,
        UNRECONCILED_ROWS,
        WITHDRAWN_PATIENT,
    ),
    needs=(needs.histories, needs.final_reads),
    workloads=("warehouse",),
)
