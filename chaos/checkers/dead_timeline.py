"""Entries that were acknowledged on WAL which did not survive.

A promotion ends the old timeline at a point of the WAL and begins a new one there. What a primary
wrote on the old timeline from that point on is on a dead branch: whoever was told ``ok`` there was
told wrong, even if the entry should have been written again since (PostgreSQL manual, 26.3.6
Timelines).
"""

from __future__ import annotations

from chaos.checkers.authority import count
from chaos.evidence.records import Operation, Scalar, format_lsn
from chaos.evidence.run import Run
from chaos.timing.measure import surviving_timeline
from chaos.verdict import Finding, FindingKind, Verdict


def check(run: Run) -> list[Finding]:
    """Holds every acknowledged operation against the history of the surviving timeline.

    An operation's LSN is read before its commit record is written, so an operation close below the
    end may be dead as well; the checker for lost entries finds that one.
    """
    acknowledged = [
        operation
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "ok"
    ]
    timelines = {operation.timeline for operation in acknowledged}
    surviving = surviving_timeline(run)
    ends = {end.timeline: end.lsn for end in run.timeline_ends}
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
            if lsn >= ends[timeline]:
                dead.append(operation)
        elif timeline < surviving and not _ancestry_is_whole(run, surviving, ends):
            open_questions.append(operation)
        else:
            dead.append(operation)
    findings = []
    if dead:
        findings.append(_finding(dead, surviving, ends))
    # Operations without a timeline matter only where there was more than one.
    if open_questions and len(timelines | {surviving} | set(ends)) > 1:
        findings.append(_undecided(open_questions, "where their timeline ended is not on record"))
    return findings


def _ancestry_is_whole(run: Run, surviving: int, ends: dict[int, int]) -> bool:
    """Whether a timeline that is not among the known ancestors is none.

    The ancestors are read when the cluster has settled; if it moved on to yet another timeline
    after that, or the record is damaged, some may be missing.
    """
    settled = [event.fields.get("timeline") for event in run.events_of("settled")]
    damaged = any("events.jsonl" in damage for damage in run.damage)
    return bool(ends) and not damaged and (not settled or settled[-1] in {None, surviving})


def _finding(dead: list[Operation], surviving: int, ends: dict[int, int]) -> Finding:
    return Finding(
        kind=FindingKind.DEAD_TIMELINE,
        verdict=Verdict.INVALID,
        summary=f"{count(len(dead), 'entry was', 'entries were')} acknowledged on WAL that is not "
        f"in the history of the surviving timeline {surviving}.",
        evidence=tuple(
            {**_evidence(operation), "timeline_ended_at": _lsn(ends.get(operation.timeline or 0))}
            for operation in dead
        ),
    )


def _undecided(operations: list[Operation], why: str) -> Finding:
    return Finding(
        kind=FindingKind.INCOMPLETE_EVIDENCE,
        verdict=Verdict.UNKNOWN,
        summary=f"{count(len(operations), 'acknowledged entry', 'acknowledged entries')} cannot be "
        f"held against the surviving timeline: {why}.",
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
