"""Append: whether the history is what its isolation level promises, on the primary and everywhere.

Judged with a proof (``chaos/consistency``): where an answer is VALID an order of all transactions
was replayed against what they read, where it is INVALID the smallest circle that was found is told,
step by step. Which level must hold where is ``promises.py``. A read with our causal token
(``after``) must also see the unit of work that it asks for, and all that was acknowledged before
that one began.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.workloads.answers import (
    TOLD_ANOMALY,
    findings_of,
    is_nothing_promised,
    proof_of,
    told,
)
from chaos.workloads.append.micro import lists_parsed, parsed
from chaos.workloads.append.promises import LevelPromise, ReadPlace, promises_of
from chaos.workloads.causal import MISSED_WRITE, missed, must_see, proof_of_miss
from chaos.workloads.native import reads_of, units_of

if TYPE_CHECKING:
    from chaos.consistency.answer import HistoryAnswer

BROKEN_ISOLATION = FindingKind(
    word="broken-isolation",
    meaning="INVALID: the history shows what the isolation level of its transactions forbids. "
    "UNKNOWN: it could neither be proved nor refuted. VALID: it does, and after a failover with "
    "commits that wait for no replica nothing is promised.",
    heading="Broken isolation level",
    proved="an isolation level was not kept",
    undecided="it is not known whether the isolation level was kept",
)
WHERE: Mapping[ReadPlace, str] = {
    "primary": "On the primary",
    "everywhere": "On all members together",
}

POSTGRES_ITSELF = (
    "No failover was near: this is a fault of PostgreSQL, not of the cluster (a report of G2-item"
    " at SERIALIZABLE is open since 18.4)."
)


def check(run: Run) -> list[Finding]:
    """Findings of the judge at each promised level, then those of causal reads."""
    causal = missed(list(_missed(run)), kind=MISSED_WRITE, forgiven=is_nothing_promised(run))
    return [*_isolation(run), *causal]


def proved(run: Run) -> tuple[str, ...]:
    """What was proved of a run in which nothing was found, a sentence for each promise."""
    return tuple(
        proof_of(_judged(run, promise.place, promise.level), where=WHERE[promise.place])
        for promise in promises_of(run)
    )


def _judged(run: Run, place: ReadPlace, level: str) -> HistoryAnswer:
    # The command starts without numpy: it is needed only once a run is judged.
    from chaos.consistency.append.judge import judge_transactions  # noqa: PLC0415
    from chaos.workloads.append.native import transactions_of  # noqa: PLC0415

    return judge_transactions(transactions_of(run, place), level)


def _isolation(run: Run) -> Iterator[Finding]:
    forgiven = is_nothing_promised(run)
    for promise in promises_of(run):
        answer = _judged(run, promise.place, promise.level)
        where = WHERE[promise.place]
        aside = POSTGRES_ITSELF if _is_postgres_itself(run, promise, answer) else ""
        yield from findings_of(
            answer, kind=BROKEN_ISOLATION, where=where, forgiven=forgiven, aside=aside
        )
        if answer.verdict is Verdict.VALID and promise.told_at is not None:
            stronger = _judged(run, promise.place, promise.told_at)
            yield from (
                told(
                    anomaly,
                    kind=TOLD_ANOMALY,
                    where=where,
                    allowed_by=promise.level,
                    why=promise.told_why,
                )
                for anomaly in stronger.anomalies
            )


def _is_postgres_itself(run: Run, promise: LevelPromise, answer: HistoryAnswer) -> bool:
    """A primary without a failover shows what only its own locks can let through."""
    timelines = {one.timeline for one in units_of(run) if one.timeline is not None}
    is_skew = any(anomaly.name.startswith("G2") for anomaly in answer.anomalies)
    return promise.place == "primary" and is_skew and len(timelines) == 1


def _missed(run: Run) -> Iterator[Evidence]:
    """Causal reads that lack an append, each with the first one that it lacks."""
    units = {one.id: one for one in units_of(run)}
    appends: dict[int, list[tuple[Operation, int]]] = defaultdict(list)
    for unit in sorted(units.values(), key=lambda one: one.end_s):
        for micro in parsed(str(unit.work.get("txn", ""))):
            if micro.value is not None:
                appends[micro.key].append((unit, micro.value))
    for read in sorted(reads_of(run), key=lambda one: one.begin_s):
        asked = units.get(read.after or "")
        if asked is None:
            continue
        micro_ops = parsed(str(read.work.get("txn", "")))
        lists = lists_parsed(str(read.result.get("read", "")))
        lacking = (
            proof_of_miss(read, unit, list=micro.key, value=value)
            for micro, seen in zip(micro_ops, lists, strict=True)
            for unit, value in appends[micro.key]
            if must_see(asked, unit) and value not in seen
        )
        yield from itertools.islice(lacking, 1)


CHECKER = Checker(
    name="isolation",
    question="The history is what its isolation level promises, on the primary and on replicas.",
    check=check,
    proves=proved,
    finds=(BROKEN_ISOLATION, MISSED_WRITE, TOLD_ANOMALY),
    needs=(needs.histories, needs.final_reads),
    workloads=("append",),
)
