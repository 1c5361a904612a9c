"""Entries that were acknowledged on WAL which did not survive.

A promotion ends the old timeline at a point of the WAL and begins a new one there. What a primary
wrote on the old timeline from that point on is on a dead branch: an ``ok`` from there was wrong,
even if the entry was written again since (PostgreSQL manual, 26.3.6 Timelines).

The checker for lost entries names every lost entry once. This one gives what they have in common:
the branch, its fork, the nodes that acknowledged on it, how much. It also names the entries that
were acknowledged on a dead branch and are nevertheless in the ledger (written again since), because
no other checker does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from chaos.checkers import needs
from chaos.checkers.authority import lost_operations
from chaos.checkers.base import Checker
from chaos.evidence.events import ClusterSettled, TimelineEnded
from chaos.evidence.given_up import given_up_ids
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, FindingKind, Verdict
from chaos.timing.measure import surviving_timeline
from chaos.wording import counted
from replication.wire.wal import format_lsn

DEAD_TIMELINE = FindingKind(
    word="acknowledged-on-dead-timeline",
    meaning="INVALID: entries were acknowledged on WAL that is not in the history of the timeline "
    "that survived.",
    heading="Acknowledged on a timeline that did not survive",
    proved="writes were acknowledged on a timeline that did not survive",
    undecided="it is not known whether the WAL of some writes survived",
)


def check(run: Run) -> list[Finding]:
    """Compares every acknowledged operation with the history of the surviving timeline.

    An operation's LSN is read before its commit record is written, so that an operation close below
    the fork may have been committed beyond it: it counts where it is lost and nothing proves that
    its commit lies before the fork (``_committed_before``). What a restore of the cluster was
    allowed to take was set back on purpose, and is left out.
    """
    excused = given_up_ids(run)
    acknowledged = [
        operation
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "ok" and operation.leaves_entry and operation.id not in excused
    ]
    timelines = {operation.timeline for operation in acknowledged}
    surviving = surviving_timeline(run)
    ends = {end.timeline: end.lsn for end in run.events_of(TimelineEnded)}
    lost = {operation.id for operation in lost_operations(run) or ()}
    proved_s = _committed_before(acknowledged, ends)
    if surviving is None:
        if len(timelines) <= 1:
            return []
        return [_undecided(acknowledged, "the surviving timeline is not on record")]
    dead: list[Operation] = []
    open_questions: list[Operation] = []
    for operation in acknowledged:
        timeline, lsn = operation.timeline, operation.lsn
        if timeline == surviving:
            continue
        if timeline is None or (timeline in ends and lsn is None):
            # A resolved entry was seen on a later primary: the checker for lost entries decides.
            if not operation.resolved:
                open_questions.append(operation)
        elif timeline in ends and lsn is not None:
            straddles = operation.id in lost and (operation.ended_s or 0.0) >= proved_s[timeline]
            if lsn >= ends[timeline] or straddles:
                dead.append(operation)
        elif timeline < surviving and not _ancestry_is_whole(run, surviving, ends):
            open_questions.append(operation)
        else:
            dead.append(operation)
    findings = []
    if dead:
        findings.append(_finding(run, dead, surviving, ends))
    # Operations without a timeline matter only where there was more than one.
    if open_questions and len(timelines | {surviving} | set(ends)) > 1:
        findings.append(_undecided(open_questions, "where their timeline ended is not on record"))
    return findings


def _ancestry_is_whole(run: Run, surviving: int, ends: dict[int, int]) -> bool:
    """Whether a timeline that is not among the known ancestors is none.

    The ancestors are read when the cluster has settled; if it moved on to yet another timeline
    after that, or the record is damaged, some may be missing.
    """
    settled = [event.timeline for event in run.events_of(ClusterSettled)]
    damaged = any("events.jsonl" in damage for damage in run.damage)
    return bool(ends) and not damaged and (not settled or settled[-1] in {None, surviving})


def _committed_before(
    acknowledged: Sequence[Operation], ends: Mapping[int, int]
) -> Mapping[int, float]:
    """For each timeline that ended: what was acknowledged before this moment lies before the fork.

    The latest begin of an attempt that read an LSN before the fork: whatever had been acknowledged
    by then had its commit record written at an even lower LSN.
    """
    moments_s: dict[int, float] = defaultdict(lambda: float("-inf"))
    for operation in acknowledged:
        timeline, lsn, attempt_s = operation.timeline, operation.lsn, operation.attempt_s
        if timeline is None or lsn is None or attempt_s is None or operation.resolved:
            continue
        if timeline in ends and lsn < ends[timeline]:
            moments_s[timeline] = max(moments_s[timeline], attempt_s)
    return moments_s


def _finding(
    run: Run, dead: Sequence[Operation], surviving: int, ends: Mapping[int, int]
) -> Finding:
    """One row a branch; then every entry that no other finding names."""
    lost_operations_ = lost_operations(run)
    lost = None if lost_operations_ is None else {operation.id for operation in lost_operations_}
    branches: dict[tuple[int, str], list[Operation]] = defaultdict(list)
    for operation in dead:
        branches[operation.timeline or 0, operation.node or "?"].append(operation)
    unnamed = [operation for operation in dead if lost is None or operation.id not in lost]
    summary = (
        f"{counted(len(dead), 'entry was', 'entries were')} acknowledged on WAL that is not in the "
        f"history of the surviving timeline {surviving}"
    )
    if lost is None:
        summary += "; who of them survived is not known."
    elif not unnamed:
        summary += "; all of them are lost."
    else:
        summary += (
            f"; {len(dead) - len(unnamed):,} of them are lost, "
            f"{len(unnamed):,} are in the ledger all the same."
        )
    return Finding(
        kind=DEAD_TIMELINE,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=(
            *(
                _branch(node, timeline, operations, ends.get(timeline), lost)
                for (timeline, node), operations in sorted(branches.items())
            ),
            *(_evidence(operation) for operation in unnamed),
        ),
    )


def _branch(
    node: str,
    timeline: int,
    operations: Sequence[Operation],
    fork: int | None,
    lost: set[str] | None,
) -> dict[str, Scalar]:
    """What one node acknowledged on one dead branch: how much, from where to where, and when."""
    lsns = [operation.lsn for operation in operations if operation.lsn is not None]
    ended_s = [operation.ended_s for operation in operations if operation.ended_s is not None]
    return {
        "timeline": timeline,
        "acknowledged_by": node,
        "timeline_ended_at": _lsn(fork),
        "entries": len(operations),
        "lost_entries": None if lost is None else sum(op.id in lost for op in operations),
        "first_lsn": _lsn(min(lsns, default=None)),
        "last_lsn": _lsn(max(lsns, default=None)),
        "first_acknowledged_s": min(ended_s, default=None),
        "last_acknowledged_s": max(ended_s, default=None),
    }


def _undecided(operations: list[Operation], why: str) -> Finding:
    return Finding(
        kind=INCOMPLETE_EVIDENCE,
        verdict=Verdict.UNKNOWN,
        summary=f"{counted(len(operations), 'acknowledged entry', 'acknowledged entries')} cannot "
        f"be held against the surviving timeline: {why}.",
        evidence=tuple(_evidence(operation) for operation in operations),
    )


def _evidence(operation: Operation) -> dict[str, Scalar]:
    return {
        "id": operation.id,
        "site": operation.site,
        "node": operation.node,
        "timeline": operation.timeline,
        "lsn": _lsn(operation.lsn),
        "acknowledged_s": operation.ended_s,
    }


def _lsn(lsn: int | None) -> str | None:
    return None if lsn is None else format_lsn(lsn)


CHECKER = Checker(
    name="dead-timeline",
    question="Nothing was acknowledged on WAL that did not survive.",
    check=check,
    finds=(DEAD_TIMELINE, INCOMPLETE_EVIDENCE),
    needs=(needs.histories, needs.which_timeline_survived, needs.whole_events),
)
