"""Append: whether the history is what its isolation level promises, on the primary and everywhere.

Judged with a proof (``chaos/consistency``): where an answer is VALID an order of all transactions
was replayed against what they read, where it is INVALID the smallest circle that was found is told,
step by step. Which level must hold where is ``promises.py``. A read with our causal token
(``after``) must also see the unit of work that it asks for, and all that was acknowledged before
that one began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.wording import counted
from chaos.workloads.append.micro import lists_parsed, parsed
from chaos.workloads.append.promises import (
    LevelPromise,
    ReadPlace,
    is_nothing_promised,
    promises_of,
)
from chaos.workloads.native import reads_of, units_of

if TYPE_CHECKING:
    from chaos.consistency.answer import Anomaly, HistoryAnswer

BROKEN_ISOLATION = FindingKind(
    word="broken-isolation",
    meaning="INVALID: the history shows what the isolation level of its transactions forbids. "
    "UNKNOWN: it could neither be proved nor refuted. VALID: it does, and after a failover with "
    "commits that wait for no replica nothing is promised.",
    heading="Broken isolation level",
    proved="an isolation level was not kept",
    undecided="it is not known whether the isolation level was kept",
)
TOLD_ANOMALY = FindingKind(
    word="told-anomaly",
    meaning="VALID: reads on replicas saw what a healthy PostgreSQL shows there and not on the "
    "primary (a long fork). It is told, and is no failure.",
    heading="Anomaly that reads on replicas may show",
    undecided="it is not known what reads on replicas saw",
)
MISSED_WRITE = FindingKind(
    word="missed-own-write",
    meaning="INVALID: a read with a causal token did not see the unit of work that the token "
    "stands for, or one that was acknowledged before that began. VALID: after a failover with "
    "commits that wait for no replica.",
    heading="Causal read that missed a write",
    proved="causal reads missed what they were promised",
    undecided="it is not known whether causal reads saw what they were promised",
)

WHERE: Mapping[ReadPlace, str] = {
    "primary": "on the primary",
    "everywhere": "on all members together",
}

POSTGRES_ITSELF = (
    " No failover was near: this is a fault of PostgreSQL, not of the cluster (a report of G2-item"
    " at SERIALIZABLE is open since 18.4)."
)


def check(run: Run) -> list[Finding]:
    """Findings of the judge at each promised level, then those of causal reads."""
    return [*_isolation(run), *_missed(run)]


def proved(run: Run) -> tuple[str, ...]:
    """What was proved of a run in which nothing was found, a sentence for each promise."""
    answers = (
        (promise, _judged(run, promise.place, promise.level)) for promise in promises_of(run)
    )
    return tuple(
        f"{WHERE[promise.place].capitalize()}: {answer.reason}; "
        f"{counted(answer.proof.checked, 'read')} compared."
        for promise, answer in answers
        if answer.proof is not None
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
        if answer.verdict is Verdict.UNKNOWN:
            yield Finding(
                kind=BROKEN_ISOLATION,
                verdict=Verdict.UNKNOWN,
                summary=f"{WHERE[promise.place].capitalize()}, at {answer.level}: {answer.reason}.",
            )
        for anomaly in answer.anomalies:
            yield _broken(run, promise, anomaly, forgiven=forgiven)
        if answer.verdict is Verdict.VALID and promise.told_at is not None:
            stronger = _judged(run, promise.place, promise.told_at)
            yield from (_told(promise, anomaly) for anomaly in stronger.anomalies)


def _broken(run: Run, promise: LevelPromise, anomaly: Anomaly, *, forgiven: bool) -> Finding:
    more = f" ({anomaly.count:,} of that kind)" if anomaly.count > 1 else ""
    why = " Nothing is promised after a failover that may lose writes." if forgiven else ""
    timelines = {one.timeline for one in units_of(run) if one.timeline is not None}
    if promise.place == "primary" and anomaly.name.startswith("G2") and len(timelines) == 1:
        why += POSTGRES_ITSELF
    return Finding(
        kind=BROKEN_ISOLATION,
        verdict=Verdict.VALID if forgiven else Verdict.INVALID,
        summary=f"{WHERE[promise.place].capitalize()} the history shows {anomaly.name}{more}, "
        f"which {promise.level} forbids. {' '.join(anomaly.sentences)}{why}",
        evidence=_evidence(anomaly),
    )


def _told(promise: LevelPromise, anomaly: Anomaly) -> Finding:
    return Finding(
        kind=TOLD_ANOMALY,
        verdict=Verdict.VALID,
        summary=f"{WHERE[promise.place].capitalize()} the history shows {anomaly.name}, which "
        f"{promise.level} allows: {promise.told_why}. {' '.join(anomaly.sentences)}",
        evidence=_evidence(anomaly),
    )


def _evidence(anomaly: Anomaly) -> tuple[Mapping[str, Scalar], ...]:
    drawn: tuple[Mapping[str, Scalar], ...] = ({"circle": anomaly.drawn},) if anomaly.drawn else ()
    return (*anomaly.evidence, *drawn)


def _missed(run: Run) -> Iterator[Finding]:
    """Causal reads that lack an append, each with the first one that it lacks."""
    known = _AcknowledgedAppends(list(units_of(run)))
    proofs: list[Evidence] = []
    for read in sorted(reads_of(run), key=lambda one: one.begin_s):
        if read.after is None:
            continue
        missing = known.missing(read, read.after)
        if missing is not None:
            key, value, writer = missing
            proofs.append(_proof(read, key, value, writer))
    if not proofs:
        return
    forgiven = is_nothing_promised(run)
    first = proofs[0]
    yield Finding(
        kind=MISSED_WRITE,
        verdict=Verdict.VALID if forgiven else Verdict.INVALID,
        summary=f"{counted(len(proofs), 'causal read')} missed a write; the first, {first['read']} "
        f"on {first['node']}, asked for {first['after']} and saw list {first['list']} without "
        f"{first['value']}, which {first['written_by']} had appended.",
        evidence=tuple(proofs),
    )


class _AcknowledgedAppends:
    """The acknowledged appends, and from when on a unit of work is known to come after them."""

    def __init__(self, units: Sequence[Operation]) -> None:
        self._units = {one.id: one for one in units}
        self._appends: dict[int, list[tuple[float, int, Operation]]] = defaultdict(list)
        for one in units:
            if one.outcome == "ok" and one.ended_s is not None:
                for micro in parsed(str(one.work.get("txn", ""))):
                    if micro.value is not None:
                        self._appends[micro.key].append((one.ended_s, micro.value, one))
        for some in self._appends.values():
            some.sort(key=lambda append: append[:2])

    def missing(self, read: Operation, after: str) -> tuple[int, int, Operation] | None:
        """The first append that a read lacks, though it had to see it; None: it lacks none."""
        asked = self._units.get(after)
        if asked is None:
            return None
        micro_ops = parsed(str(read.work.get("txn", "")))
        for micro, seen in zip(
            micro_ops, lists_parsed(str(read.result.get("read", ""))), strict=True
        ):
            appends = self._appends.get(micro.key, [])
            before = bisect_right([ended_s for ended_s, _, _ in appends], asked.begin_s)
            own = (append for append in appends[before:] if append[2] is asked)
            for _, value, writer in (*appends[:before], *own):
                if value not in seen:
                    return micro.key, value, writer
        return None


def _proof(read: Operation, key: int, value: int, writer: Operation) -> Evidence:
    return {
        "read": read.id,
        "node": read.node,
        "source": read.source,
        "begin_s": read.begin_s,
        "after": read.after,
        "list": key,
        "value": value,
        "written_by": writer.id,
        "acknowledged_s": writer.ended_s,
    }


CHECKER = Checker(
    name="isolation",
    question="The history is what its isolation level promises, on the primary and on replicas.",
    check=check,
    proves=proved,
    finds=(BROKEN_ISOLATION, MISSED_WRITE, TOLD_ANOMALY),
    needs=(needs.histories, needs.final_reads),
    workloads=("append",),
)
