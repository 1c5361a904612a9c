"""Findings that are made alike by several checkers: node by node, and worker by worker. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chaos.evidence.records import FinalRead, Operation, SiteHistory
from chaos.findings import Evidence, Finding, FindingKind, invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLook:
    """What may be wrong with what a node holds."""

    kind: FindingKind
    summary: str
    """``{node}`` in it stands for the node, ``{n}`` for the number of proofs."""
    proofs: Callable[[FinalRead], Iterable[Evidence]]


def on_each_node(reads: Iterable[FinalRead], *looks: NodeLook) -> list[Finding]:
    """An INVALID finding for each node and look that has proofs."""
    findings = []
    for read in reads:
        for look in looks:
            summary = look.summary.replace("{node}", read.node)
            findings += invalid(kind=look.kind, summary=summary, evidence=look.proofs(read))
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """A worker that was told to end, and whose end was not acknowledged or counts otherwise."""

    site: str
    worker: int
    sent: int
    """How many parts it sent."""
    counted: int | str | None
    """How many its end counts, where that was acknowledged."""
    waiting: tuple[str, ...]
    """The operations that were not acknowledged."""


def unended(history: SiteHistory, part: str) -> Iterator[Unended]:
    """The workers of a site that did not end; none where the history was cut short.

    A worker sends parts, operations of the kind ``part``, and ends with one of the kind ``finish``,
    which says how many parts there are (``chunks``). A part that a restore took and that was sent
    ``again`` is no other part.
    """
    if not history.complete:
        return
    ours = [op for op in history.operations if op.work.get("op") in (part, "finish")]
    for worker in sorted({op.worker for op in ours}):
        mine = [op for op in ours if op.worker == worker]
        parts, ends = _of(mine, part), _of(mine, "finish")
        said = [end.result.get("chunks") for end in ends if end.outcome == "ok"]
        if said != [sum(not op.work.get("again") for op in parts)]:
            last = said[-1] if said else None
            yield Unended(
                site=history.site,
                worker=worker,
                sent=len(parts),
                counted=last if isinstance(last, int | str) else None,
                waiting=tuple(op.id for op in (*parts, *ends) if op.outcome != "ok"),
            )


def _of(operations: Iterable[Operation], kind: str) -> list[Operation]:
    return [op for op in operations if op.work.get("op") == kind]
