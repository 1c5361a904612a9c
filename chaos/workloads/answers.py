"""From the answer of a judge of histories to the findings of a checker. Pure.

Where a failover may lose acknowledged writes and there was one, nothing is promised of what was
seen: the same anomalies are told there, with the verdict VALID. What was lost has findings of its
own (``chaos/checkers/lost.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal

from chaos.checkers import needs
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.timing.settings import commits_wait_for_standby
from chaos.wording import counted
from chaos.workloads.kind import WorkloadKind
from cluster.topology.settings import SyncMode

if TYPE_CHECKING:
    from chaos.consistency.answer import Anomaly, HistoryAnswer

OperationFacts = Mapping[str, Mapping[str, Scalar]]
"""What is known of an operation, by the ``where`` of an anomaly's evidence."""

HOLDS: Mapping[SyncMode, Literal["always", "until-failover"]] = {
    "quorum": "always",
    "async": "until-failover",
}
"""How long what a workload is promised holds, by when the cluster acknowledges a commit: the third
column of the table of promises (``append/promises.py`` has isolation and place)."""

TOLD_ANOMALY = FindingKind(
    word="told-anomaly",
    meaning="VALID: reads on replicas saw what a healthy PostgreSQL shows there and not on the "
    "primary (a long fork). It is told, and is no failure.",
    heading="Anomaly that reads on replicas may show",
    undecided="it is not known what reads on replicas saw",
)

FORGIVEN = " Nothing is promised after a failover that may lose writes."


def findings_of(  # noqa: PLR0913 (what a finding says)
    answer: HistoryAnswer,
    *,
    kind: FindingKind,
    where: str,
    forgiven: bool,
    known: OperationFacts | None = None,
    aside: str = "",
) -> Iterator[Finding]:
    """One finding for each anomaly; for an answer UNKNOWN, one that says so.

    Args:
        answer: what the judge says of the history.
        kind: the findings'.
        where: which history, as the begin of a sentence: ``On the primary``.
        forgiven: nothing is promised (``is_nothing_promised``).
        known: what to add to the evidence.
        aside: a sentence for the end of each.
    """
    if answer.verdict is Verdict.UNKNOWN:
        summary = f"{where}, at {answer.level}: {answer.reason.rstrip('.')}."
        yield Finding(kind=kind, verdict=Verdict.UNKNOWN, summary=summary)
    for anomaly in answer.anomalies:
        more = f" ({anomaly.count:,} of that kind)" if anomaly.count > 1 else ""
        words = f"{where} the history shows {anomaly.name}{more}, which {answer.level} forbids."
        yield Finding(
            kind=kind,
            verdict=Verdict.VALID if forgiven else Verdict.INVALID,
            summary=" ".join([words, *anomaly.sentences])
            + (FORGIVEN if forgiven else f" {aside}" if aside else ""),
            evidence=evidence_of(anomaly, known),
        )


def told(  # noqa: PLR0913 (what a finding says)
    anomaly: Anomaly,
    *,
    kind: FindingKind,
    where: str,
    allowed_by: str,
    why: str,
    known: OperationFacts | None = None,
) -> Finding:
    """The finding of an anomaly that is no failure.

    Args:
        anomaly: what the history shows.
        kind: ``TOLD_ANOMALY``; the caller names it, as that of a finding of its checker.
        where: which history, as the begin of a sentence.
        allowed_by: the level that allows it.
        why: how it comes about, without a full stop.
        known: what to add to the evidence.
    """
    return Finding(
        kind=kind,
        verdict=Verdict.VALID,
        summary=f"{where} the history shows {anomaly.name}, which {allowed_by} allows: {why}. "
        f"{' '.join(anomaly.sentences)}",
        evidence=evidence_of(anomaly, known),
    )


def evidence_of(
    anomaly: Anomaly, known: OperationFacts | None = None
) -> tuple[Mapping[str, Scalar], ...]:
    """A row for each operation of an anomaly, then its circle."""
    rows = [
        {**(known or {}).get(str(proof.get("where", "")), {}), **proof}
        for proof in anomaly.evidence
    ]
    return (*rows, *([{"circle": anomaly.drawn}] if anomaly.drawn else []))


def proof_of(answer: HistoryAnswer, *, where: str) -> str:
    """What a VALID answer has proved, in a sentence; empty where it has no proof."""
    if answer.proof is None:
        return ""
    compared = counted(answer.proof.checked, "read")
    return f"{where}: {answer.reason.rstrip('.')}; {compared} compared."


def judged(run: Run, kind: WorkloadKind, level: str | None) -> HistoryAnswer:
    """What the judge of a workload says of a run, for ``bascule judge``.

    UNKNOWN in place of VALID where the evidence is not whole: what is missing may contradict.

    Args:
        run: with a workload that has a judge.
        kind: of that workload.
        level: None: the one that is promised.
    """
    answer: HistoryAnswer = resolve_name(kind.judge)(run, level)
    gaps = dict.fromkeys(
        gap.what
        for need in (needs.undamaged, needs.histories, needs.final_reads)
        for gap in need(run)
    )
    if not gaps:
        return answer
    notes = (*answer.notes, *gaps)
    if answer.verdict is not Verdict.VALID:
        return replace(answer, notes=notes)
    reason = "nothing contradicts it, but the evidence is not whole"
    return replace(answer, verdict=Verdict.UNKNOWN, reason=reason, proof=None, notes=notes)


def is_nothing_promised(run: Run) -> bool:
    """Acknowledged writes may be lost by a failover, and there was one.

    What was lost takes with it what others had read: no level holds over it, not even read
    committed. The lost entries themselves are judged by what the scenario allows.
    """
    durability: SyncMode = "quorum" if commits_wait_for_standby(run) else "async"
    may_lose = HOLDS[durability] == "until-failover" or run.info.scenario.expect.lost_max > 0
    timelines = {
        operation.timeline
        for history in run.histories
        for operation in history.operations
        if operation.timeline is not None
    } | {final.timeline for final in run.final_reads if final.timeline is not None}
    return may_lose and len(timelines) > 1


def read_evidence(read: Operation, **more: Scalar) -> Evidence:
    """What a read that saw something wrong is known by; ``more`` says what it was."""
    return {
        "read": read.id,
        "node": read.node,
        "source": read.source,
        "begin_s": read.begin_s,
        **more,
    }


def finding_of_reads(
    words: str, proofs: Sequence[Evidence], *, kind: FindingKind, of: str, forgiven: bool
) -> Finding:
    """One finding for all reads that are wrong in the same way.

    Args:
        words: after "3 reads".
        proofs: as from ``read_evidence``, at least one.
        kind: of the finding.
        of: the name there of what each read was wrong about (``key``).
        forgiven: nothing was promised.
    """
    reads = len({proof["read"] for proof in proofs})
    first = proofs[0]
    return Finding(
        kind=kind,
        verdict=Verdict.VALID if forgiven else Verdict.INVALID,
        summary=f"{counted(reads, 'read')} {words}; the first, {first['read']} on "
        f"{first['node']}: {of} {first[of]}.{FORGIVEN if forgiven else ''}",
        evidence=tuple(proofs),
    )
