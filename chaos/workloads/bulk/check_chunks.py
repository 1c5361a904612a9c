"""Bulk loads: whether every chunk is whole and right, and whether every load came to its end.

What a node holds of a chunk is one row of its final read, put together by the server: how many rows
there are, how many different ones, the first, the last, and how many are not what was sent. The
checkers of lost and phantom entries make sure that every acknowledged chunk is there, and no chunk
that was not sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.checkers.by_node import NodeLook, Unended, on_each_node, unended
from chaos.evidence.records import FinalRead, LedgerRow, Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, invalid

TORN_CHUNK = FindingKind(
    word="torn-chunk",
    meaning="INVALID: of a chunk of a bulk load rows are missing, doubled or others.",
    heading="Chunk that is not whole",
    proved="chunks of the bulk load were not whole",
    undecided="it is not known whether every chunk is whole",
)

BULK_UNFINISHED = FindingKind(
    word="bulk-unfinished",
    meaning="INVALID: a bulk load was told to end and did not.",
    heading="Bulk load that did not end",
    proved="bulk loads did not come to an end",
    undecided="it is not known whether the bulk loads ended",
)


def check_chunks(run: Run) -> list[Finding]:
    """One finding a node that holds a chunk otherwise than it was sent."""
    sent = {
        operation.id: operation
        for history in run.histories
        for operation in history.operations
        if operation.work.get("op") == "chunk"
    }

    def torn(read: FinalRead) -> Iterator[Evidence]:
        for row in read.rows:
            if row.id in sent and (found := _difference(row, sent[row.id])) is not None:
                yield {"node": read.node, "id": row.id, **found, "asked": sent[row.id].work["rows"]}

    summary = "On {node} chunks are not what was sent (rows are missing, doubled or others): {n}."
    return on_each_node(run.final_reads, NodeLook(kind=TORN_CHUNK, summary=summary, proofs=torn))


def check_finished(run: Run) -> list[Finding]:
    """One finding for all loads that were told to end and did not.

    A load is what one worker copies. It ends with an operation of its own, which says how many
    chunks there are; where that was not acknowledged, or counts another number than were sent, the
    load is not complete. A history that was cut short proves nothing.
    """
    return invalid(
        kind=BULK_UNFINISHED,
        summary="Bulk loads did not come to an end: {n}.",
        evidence=(_proof(one) for history in run.histories for one in unended(history, "chunk")),
    )


def _difference(row: LedgerRow, sent: Operation) -> Mapping[str, Scalar] | None:
    """What a node holds of a chunk; None if that is what was sent."""
    held: dict[str, int] = json.loads(row.content)
    asked = int(str(sent.work["rows"]))
    first = int(str(sent.work["first"]))
    whole = {
        "rows": asked,
        "distinct": asked,
        "first": first,
        "last": first + asked - 1,
        "foreign": 0,
    }
    return None if held == whole else {name: held.get(name) for name in whole}


def _proof(load: Unended) -> Evidence:
    return {
        "site": load.site,
        "worker": load.worker,
        "chunks": load.sent,
        "counted": load.counted,
        "not_acknowledged": ", ".join(load.waiting) or None,
    }


CHUNKS = Checker(
    name="chunks",
    question="Every chunk of a bulk load is there whole, and no row of it twice.",
    check=check_chunks,
    finds=(TORN_CHUNK,),
    needs=(needs.histories, needs.final_reads),
    workloads=("bulk",),
)


FINISHED = Checker(
    name="bulk-end",
    question="Every bulk load came to its end.",
    check=check_finished,
    finds=(BULK_UNFINISHED,),
    needs=(needs.histories, needs.load_to_its_end),
    workloads=("bulk",),
)
