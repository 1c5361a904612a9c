"""Feeds: each delivery is there whole, its watermark with it, and what comes again changes nothing.

What a node holds of a delivery is one row of its final read: what the merge counted when it came,
and what is kept of it now. The checkers of lost, phantom and duplicate entries make sure that every
acknowledged delivery is there, once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.checkers.by_node import NodeLook, on_each_node, unended
from chaos.evidence.records import FinalRead, Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, invalid

TORN_DELIVERY = FindingKind(
    word="torn-delivery",
    meaning="INVALID: of a delivery results are missing, doubled or others, or what became of them "
    "does not add up to what was received.",
    heading="Delivery that is not whole",
    proved="deliveries of the feeds were not whole",
    undecided="it is not known whether every delivery is whole",
)

WRONG_WATERMARK = FindingKind(
    word="wrong-watermark",
    meaning="INVALID: the watermark of a source is ahead of its deliveries, or behind them.",
    heading="Watermark that is wrong",
    proved="watermarks were not what was delivered",
    undecided="it is not known whether the watermarks are right",
)

CHANGED_BY_RERUN = FindingKind(
    word="changed-by-rerun",
    meaning="INVALID: a delivery that came a second time added or changed rows.",
    heading="Delivery that was applied again",
    proved="deliveries that came again changed the warehouse",
    undecided="it is not known whether deliveries that came again changed anything",
)

FEED_UNFINISHED = FindingKind(
    word="feed-unfinished",
    meaning="INVALID: a feed was told to end and did not.",
    heading="Feed that did not end",
    proved="feeds did not come to an end",
    undecided="it is not known whether the feeds ended",
)


def check(run: Run) -> list[Finding]:
    """One finding a node and kind, one for all feeds that did not end."""
    sent = {
        operation.id: operation
        for history in run.histories
        for operation in history.operations
        if operation.work.get("op") == "delivery"
    }
    findings = on_each_node(
        run.final_reads,
        NodeLook(
            kind=TORN_DELIVERY,
            summary="On {node} deliveries are not what was sent, or do not add up: {n}.",
            proofs=lambda read: _torn(read, sent),
        ),
        NodeLook(
            kind=WRONG_WATERMARK,
            summary="On {node} watermarks are not what was delivered: {n}.",
            proofs=_wrong_watermarks,
        ),
        NodeLook(
            kind=CHANGED_BY_RERUN,
            summary="On {node} deliveries that came again have changed rows: {n}.",
            proofs=_changed_again,
        ),
    )
    findings += invalid(
        kind=FEED_UNFINISHED,
        summary="Feeds did not come to an end: {n}.",
        evidence=(
            {"site": one.site, "worker": one.worker, "sent": one.sent, "counted": one.counted}
            for history in run.histories
            for one in unended(history, "delivery")
        ),
    )
    return findings


def deliveries_of(read: FinalRead) -> Iterator[tuple[str, dict[str, int | str]]]:
    """Of every delivery that a node holds its operation and its row."""
    for row in read.rows:
        content = json.loads(row.content)
        if content.get("op") == "delivery":
            yield row.id, content


def _torn(read: FinalRead, sent: Mapping[str, Operation]) -> Iterator[Evidence]:
    for id_, found in deliveries_of(read):
        wrong = _not_whole(found, sent.get(id_))
        if wrong is not None:
            yield {"node": read.node, "id": id_, "wrong": wrong}


def _changed_again(read: FinalRead) -> Iterator[Evidence]:
    """What came again and added or changed something."""
    for id_, found in deliveries_of(read):
        changed = {what: int(found[what]) for what in ("visits", "inserted", "corrected")}
        if found["kind"] == "again" and any(changed.values()):
            yield {"node": read.node, "id": id_, **changed}


def _not_whole(found: Mapping[str, int | str], sent: Operation | None) -> str | None:
    """What is wrong with a delivery, in words; None: nothing."""
    number = {name: int(value) for name, value in found.items() if isinstance(value, int)}
    became = sum(number[name] for name in ("inserted", "corrected", "unchanged", "refused"))
    kept = number["received"] - number["refused"] - number["erased"]
    if sent is not None:
        for name in ("source", "batch", "kind", "received"):
            if found[name] != sent.work[name]:
                return f"{name} is {found[name]}, {sent.work[name]} was sent"
    if became != number["received"]:
        return f"{became} results were dealt with, {number['received']} were received"
    if number["held"] != kept:
        return f"{number['held']} results are kept, {kept} should be"
    if number["places"] != number["held"]:
        return f"{number['held']} results are kept, {number['places']} different ones"
    if number["foreign"]:
        return f"{number['foreign']} results have another value than was sent"
    return None


def _wrong_watermarks(read: FinalRead) -> Iterator[Evidence]:
    """The sources whose deliveries are not 1, 2, 3 and so on up to the watermark."""
    marks = {
        row.id.removeprefix("watermark:"): int(row.content)
        for row in read.state
        if row.id.startswith("watermark:")
    }
    there = {
        row.id.removeprefix("batches:"): json.loads(row.content)
        for row in read.state
        if row.id.startswith("batches:")
    }
    for source in sorted({*marks, *there}):
        mark = marks.get(source, 0)
        held = there.get(source, {"number": 0, "distinct": 0, "last": 0})
        if held != {"number": mark, "distinct": mark, "last": mark}:
            yield {"node": read.node, "source": source, "watermark": mark, **held}


FEEDS = Checker(
    name="feeds",
    question="Every delivery is there whole, with its watermark, and none was applied twice.",
    check=check,
    finds=(TORN_DELIVERY, WRONG_WATERMARK, CHANGED_BY_RERUN, FEED_UNFINISHED),
    needs=(needs.histories, needs.final_reads, needs.load_to_its_end),
    workloads=("warehouse",),
)
