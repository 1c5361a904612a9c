"""Whether a cluster that was restored in place is at the point asked for, and what that cost.

What was acknowledged before the attempt began that wrote the entry must be there; what was begun
after the entry, and was over before the cluster died, must be gone from every node, or a node has
kept a branch of history that no longer exists. What overlaps with the entry may be either. What is
gone is the loss of the restore: a finding in any case, and too much where it goes back further than
the scenario allows. Losses from before the point are no business of a restore: the checker
``lost-entries`` names them too, and nothing excuses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.checkers import needs
from chaos.checkers.authority import authority
from chaos.checkers.base import Checker, Gap
from chaos.checkers.restore import RESTORE_FAILED, RESTORE_NOT_EXACT
from chaos.evidence.given_up import GivenUp, given_up, given_up_operations
from chaos.evidence.rebuilds import REBUILT, Rebuild
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, FindingKind, Verdict
from chaos.wording import counted

DATA_LOST = "data-lost"
"""The key of what destroys and restores (``chaos/faults/data_lost.py``)."""

RESTORE_LOSS = FindingKind(
    word="restore-loss",
    meaning="INVALID: a restore of the cluster set the data back further than the scenario's "
    "``restore_loss_s_max`` (PRD). VALID: it set them back, and not further than that.",
    heading="What a restore gave up",
    proved="a restore gave up more than is allowed",
    undecided="it is not known what a restore gave up",
)


def is_asked(run: Run) -> bool:
    """Everything was to be lost, or was."""
    return bool(run.rebuilds) or any(step.fault == DATA_LOST for step in run.info.scenario.faults)


def rebuilt(run: Run) -> Iterator[Gap]:
    """At least one restore, each tried to its end."""
    if not run.rebuilds:
        yield Gap(what="no loss of all data is on record", part=REBUILT)
    for rebuild in run.rebuilds:
        if rebuild.dead_s is None:
            yield Gap(what="when the cluster died is not on record", part=REBUILT)
        elif rebuild.primary_s is None and rebuild.error is None:
            yield Gap(what="whether the cluster was restored is not on record", part=REBUILT)


def check(run: Run) -> list[Finding]:
    """Compares what every node holds with the history, for each restore."""
    known = {time.rebuild: time for time in given_up(run)}
    findings: list[Finding] = []
    for rebuild in run.rebuilds:
        if rebuild.error is not None:
            findings.append(_failed(rebuild))
        elif rebuild.dead_s is not None and rebuild.primary_s is not None:
            if rebuild in known:
                findings += _judge(run, known[rebuild])
            else:
                findings.append(_unknown_entry(rebuild))
            findings += _timeline(rebuild)
    return [*findings, *_loss(run)]


def _judge(run: Run, time: GivenUp) -> Iterator[Finding]:
    operations = [one for history in run.histories for one in history.operations]
    where = f"The cluster that was restored to the entry {time.entry.id}"
    primary = authority(run)
    if primary is not None:
        there = {row.id for row in primary.rows}
        missing = [
            one
            for one in operations
            if one.outcome == "ok"
            and one.leaves_entry
            and one.id not in there
            and (time.precedes(one) or one is time.entry)
        ]
        if missing:
            before = counted(len(missing), "entry that was", "entries that were")
            yield _finding(f"{where} lacks {before} there before.", time, missing, primary.node)
    for read in run.final_reads:
        there = {row.id for row in read.rows}
        again = time.rebuild.erased_again
        beyond = [
            one
            for one in operations
            if one.id in there and time.follows(one) and one.id not in again
        ]
        if beyond:
            after = counted(len(beyond), "entry that came", "entries that came")
            yield _finding(
                f"{where} has {after} after it, on {read.node}.", time, beyond, read.node
            )


def _timeline(rebuild: Rebuild) -> Iterator[Finding]:
    known = max(rebuild.backup_timeline or 0, rebuild.named_timeline)
    if rebuild.timeline is None or rebuild.timeline <= known:
        yield Finding(
            kind=RESTORE_NOT_EXACT,
            verdict=Verdict.INVALID,
            summary=f"The restored cluster is on the timeline {rebuild.timeline}, which is no new "
            f"one: it was on {known} before.",
            evidence=({"host": rebuild.host, "timeline": rebuild.timeline},),
        )


def loss_s(run: Run, gone: Sequence[Operation]) -> float:
    """How far back the data were set, in seconds: from the oldest entry that is gone to the end of
    the cluster that had it. 0: nothing is gone."""
    if not gone:
        return 0.0
    ends_s = [one.dead_s for one in run.rebuilds if one.dead_s is not None]
    return max(ends_s) - min(one.end_s for one in gone)


def _loss(run: Run) -> Iterator[Finding]:
    """What the restores took together, held against what is allowed."""
    gone = given_up_operations(run)
    if not gone:
        return
    back_s, allowed_s = loss_s(run, gone), run.info.scenario.expect.restore_loss_s_max
    allowed = "no limit was asked for" if allowed_s is None else f"allowed: {allowed_s:g} s"
    too_much = allowed_s is not None and back_s > allowed_s
    entries = counted(len(gone), "acknowledged entry", "acknowledged entries")
    yield Finding(
        kind=RESTORE_LOSS,
        verdict=Verdict.INVALID if too_much else Verdict.VALID,
        summary=f"The restore gave up {entries}, of the last {back_s:.1f} s before all data were "
        f"lost ({allowed}).",
        evidence=tuple(_proof(one, None) for one in gone),
    )


def _failed(rebuild: Rebuild) -> Finding:
    return Finding(
        kind=RESTORE_FAILED,
        verdict=Verdict.INVALID,
        summary=f"The cluster could not be restored from the backup on {rebuild.host}: "
        f"{rebuild.error}",
        evidence=({"host": rebuild.host, "entry": rebuild.entry, "error": rebuild.error},),
    )


def _unknown_entry(rebuild: Rebuild) -> Finding:
    return Finding(
        kind=INCOMPLETE_EVIDENCE,
        verdict=Verdict.UNKNOWN,
        summary=f"The entry {rebuild.entry} to which the cluster was restored is in no history.",
        evidence=({"host": rebuild.host, "entry": rebuild.entry},),
    )


def _finding(summary: str, time: GivenUp, operations: Sequence[Operation], node: str) -> Finding:
    return Finding(
        kind=RESTORE_NOT_EXACT,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=tuple(
            {**_proof(one, node), "point": time.entry.id, "point_s": time.entry.ended_s}
            for one in operations
        ),
    )


def _proof(one: Operation, node: str | None) -> dict[str, Scalar]:
    where: dict[str, Scalar] = {} if node is None else {"node": node}
    return {**where, "id": one.id, "site": one.site, "acknowledged_s": one.ended_s}


CHECKER = Checker(
    name="restored",
    question="A restored cluster has all that came before the entry asked for, and nothing after.",
    check=check,
    finds=(RESTORE_FAILED, RESTORE_NOT_EXACT, RESTORE_LOSS, INCOMPLETE_EVIDENCE),
    needs=(needs.histories, needs.final_reads, needs.one_primary, rebuilt),
    workloads=("ledger", "warehouse"),
    is_asked=is_asked,
)
