"""Long-fork: whether single writes become visible in one order, where that is promised.

Which reads may fork is ``promises.py``. Beside that

- a read through the primary has every key that was acknowledged before it began, and none that is
  gone at the end;
- no read has a key whose write had failed, or that nobody wrote;
- a read with a causal token has what ``causal.py`` says.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from chaos.checkers import needs
from chaos.checkers.base import Checker, CheckerAnswer
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind
from chaos.wording import counted
from chaos.workloads.answers import (
    TOLD_ANOMALY,
    finding_of_reads,
    findings_of,
    is_nothing_promised,
    proof_of,
    read_evidence,
    told,
)
from chaos.workloads.causal import MISSED_WRITE, missed, must_see, proof_of_miss
from chaos.workloads.long_fork.groups import (
    by_member,
    group_of,
    is_read,
    keys_at_end,
    keys_taken_back,
    options_of,
    seen_by,
)
from chaos.workloads.long_fork.promises import ForkPlace, promise_at
from chaos.workloads.native import placed, reads_of, units_of

if TYPE_CHECKING:
    from chaos.consistency.answer import HistoryAnswer

PlaceAnswer: TypeAlias = "tuple[ForkPlace, str, HistoryAnswer]"
"""What the judge says of a place, which is the begin of a sentence too."""

FORKED_READS = FindingKind(
    word="forked-reads",
    meaning="INVALID: reads of one member saw two writes in opposite orders at a level that has "
    "snapshots; a read through the primary missed an acknowledged write, or had one that is gone; "
    "or a read had what nobody wrote. VALID: after a failover with commits that wait for no "
    "replica.",
    heading="Reads that no order of the writes explains",
    proved="reads saw writes in an order that cannot be",
    undecided="it is not known whether reads saw writes in one order",
)


def answer(run: Run) -> CheckerAnswer:
    """Forks at each place, then single reads that were wrong, then causal ones; the order that
    explains the reads of each place."""
    forgiven = is_nothing_promised(run)
    answers = list(_answers(run))
    single = (
        ("missed a key that was acknowledged before it began", _stale(run)),
        ("had a key that is not there at the end", _vanished(run)),
        ("had a key whose write had failed, or that nobody wrote", _phantoms(run)),
    )
    findings = [
        *_forks(run, answers, forgiven=forgiven),
        *(
            finding_of_reads(words, proofs, kind=FORKED_READS, of="key", forgiven=forgiven)
            for words, proofs in single
            if proofs
        ),
        *missed(_missed(run), kind=MISSED_WRITE, forgiven=forgiven),
    ]
    proof = [proof_of(said, where=where) for _, where, said in answers]
    if back := keys_taken_back(run):
        proof.append(
            f"{counted(len(back), 'key was', 'keys were')} shown by a replica and taken back by a "
            "failover before the acknowledgement."
        )
    return CheckerAnswer(findings=tuple(findings), proof=tuple(proof))


def _answers(run: Run) -> Iterator[PlaceAnswer]:
    """What the judge says of each place where somebody has read."""
    # The command starts without the judges: they are needed only once a run is judged.
    from chaos.workloads.long_fork.native import judge_reads  # noqa: PLC0415

    units, reads = list(units_of(run)), list(reads_of(run))
    yield "primary", "On the primary", judge_reads(run, units)
    for member, some in by_member(reads).items():
        yield "member", f"On {member}", judge_reads(run, some)
    if reads:
        yield "everywhere", "On all members together", judge_reads(run, [*units, *reads])


def _forks(run: Run, answers: Iterable[PlaceAnswer], *, forgiven: bool) -> Iterator[Finding]:
    known = {one.name: one.details for one in placed([*units_of(run), *reads_of(run)])}
    for place, where, said in answers:
        promise = promise_at(options_of(run).isolation, place)
        if not promise.told_why:
            yield from findings_of(
                said, kind=FORKED_READS, where=where, forgiven=forgiven, known=known
            )
        else:
            allowed_by = promise.isolation if place == "primary" else f"{promise.isolation} there"
            for anomaly in said.anomalies:
                yield told(
                    anomaly,
                    kind=TOLD_ANOMALY,
                    where=where,
                    allowed_by=allowed_by,
                    why=promise.told_why,
                    known=known,
                )


def _writes(run: Run) -> dict[int, list[Operation]]:
    """The writes of each group that did not fail, by their key."""
    writes: dict[int, list[Operation]] = defaultdict(list)
    for one in units_of(run):
        if one.work["op"] == "write" and one.outcome != "fail":
            writes[int(str(one.work["key"]))].append(one)
    return writes


def _stale(run: Run) -> list[Evidence]:
    writes = _writes(run)
    return [
        read_evidence(read, key=key, written_by=write.id, acknowledged_s=write.ended_s)
        for read in filter(is_read, units_of(run))
        for key in group_of(read)
        for write in writes.get(key, ())
        if write.outcome == "ok" and write.end_s < read.begin_s and key not in seen_by(read)
    ]


def _vanished(run: Run) -> list[Evidence]:
    there = keys_at_end(run)
    if there is None:
        return []
    return [
        read_evidence(read, key=key)
        for read in filter(is_read, units_of(run))
        for key in sorted(seen_by(read) - there)
    ]


def _phantoms(run: Run) -> list[Evidence]:
    writes = _writes(run)
    return [
        read_evidence(read, key=key)
        for read in filter(is_read, [*units_of(run), *reads_of(run)])
        for key in sorted(seen_by(read) - writes.keys())
    ]


def _missed(run: Run) -> list[Evidence]:
    """Causal reads that lack a key, each with the first one that it lacks."""
    units = {one.id: one for one in units_of(run)}
    writes = _writes(run)
    proofs: list[Evidence] = []
    for read in sorted(reads_of(run), key=lambda one: one.begin_s):
        asked = units.get(read.after or "")
        if asked is None:
            continue
        lacking = (
            proof_of_miss(read, write, key=key)
            for key in group_of(read)
            for write in writes.get(key, ())
            if must_see(asked, write) and key not in seen_by(read)
        )
        proofs += itertools.islice(lacking, 1)
    return proofs


CHECKER = Checker(
    name="forks",
    question="Single writes became visible in one order, where the isolation level promises it.",
    answer=answer,
    finds=(FORKED_READS, MISSED_WRITE, TOLD_ANOMALY),
    needs=(needs.histories, needs.one_primary),
    workloads=("long-fork",),
)
