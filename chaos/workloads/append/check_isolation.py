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
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from chaos.checkers import needs
from chaos.checkers.base import Checker, CheckerAnswer
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


def answer(run: Run) -> CheckerAnswer:
    """Findings of the judge at each promised level, then those of causal reads; what is proved at
    each of these levels."""
    forgiven = is_nothing_promised(run)
    findings: list[Finding] = []
    proof: list[str] = []
    for place, where in WHERE.items():
        judged = _judge_of(run, place)
        for promise in promises_of(run):
            if promise.place == place:
                said = judged(promise.level)
                findings += _isolation(run, promise, said, forgiven=forgiven)
                proof.append(proof_of(said, where=where))
                if said.verdict is Verdict.VALID and promise.told_at is not None:
                    findings += _told(promise, judged(promise.told_at))
    findings += missed(list(_missed(run)), kind=MISSED_WRITE, forgiven=forgiven)
    return CheckerAnswer(findings=tuple(findings), proof=tuple(proof))


def _judge_of(run: Run, place: ReadPlace) -> Callable[[str], HistoryAnswer]:
    """Judges the transactions of a place, at any level."""
    # The command starts without numpy: it is needed only once a run is judged.
    from chaos.consistency.append.judge import judge_transactions  # noqa: PLC0415
    from chaos.workloads.append.native import transactions_of  # noqa: PLC0415

    return partial(judge_transactions, transactions_of(run, place))


def _isolation(
    run: Run, promise: LevelPromise, said: HistoryAnswer, *, forgiven: bool
) -> Iterator[Finding]:
    aside = POSTGRES_ITSELF if _is_postgres_itself(run, promise, said) else ""
    where = WHERE[promise.place]
    return findings_of(said, kind=BROKEN_ISOLATION, where=where, forgiven=forgiven, aside=aside)


def _told(promise: LevelPromise, stronger: HistoryAnswer) -> Iterator[Finding]:
    for anomaly in stronger.anomalies:
        yield told(
            anomaly,
            kind=TOLD_ANOMALY,
            where=WHERE[promise.place],
            allowed_by=promise.level,
            why=promise.told_why,
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
    answer=answer,
    finds=(BROKEN_ISOLATION, MISSED_WRITE, TOLD_ANOMALY),
    needs=(needs.histories, needs.final_reads),
    workloads=("append",),
)
