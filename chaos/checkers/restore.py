"""What was restored is exactly what was asked for: all before an entry of the ledger, none after.

Before it is what was acknowledged before the attempt began that wrote the entry; after it is what
was begun after the entry was acknowledged, or seen on the primary. What overlaps with it may be
there or not. No clock of a server and no WAL position is in this: all moments are those of the load
processes.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checkers import needs
from chaos.checkers.base import Checker, Gap
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.restores import RESTORED, Restore
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, FindingKind, Verdict
from chaos.wording import counted

RESTORE_TEST = "restore-test"
"""The key of what restores (``chaos/faults/restore_test.py``)."""

RESTORE_NOT_EXACT = FindingKind(
    word="restore-not-exact",
    meaning="INVALID: what was restored lacks something that was acknowledged before the entry "
    "that named the point in time, or that entry, or has something that came after it, or its "
    "timeline is not a new one.",
    heading="Restore that is not what was asked for",
    proved="a restore was not what was asked for",
    undecided="it is not known whether a restore was what was asked for",
)

RESTORE_FAILED = FindingKind(
    word="restore-failed",
    meaning="INVALID: a backup could not be restored: it is not what its manifest says, its WAL "
    "has a gap, or the restored server did not come up.",
    heading="Backup that could not be restored",
    proved="a backup could not be restored",
    undecided="it is not known whether a backup could be restored",
)


def is_asked(run: Run) -> bool:
    """Something was to be restored, or was."""
    return bool(run.restores) or any(
        step.fault == RESTORE_TEST for step in run.info.scenario.faults
    )


def restored(run: Run) -> Iterator[Gap]:
    """At least one restore, and what each held."""
    if not run.restores:
        yield Gap(what="no restore is on record", part=RESTORED)
    for restore in run.restores:
        if restore.read is None and restore.record.error is None:
            host = restore.record.host
            yield Gap(
                what=f"what was restored on {host} is not on record",
                part=f"{RESTORED}/final-{host}.jsonl",
            )


def check(run: Run) -> list[Finding]:
    """Compares every restore with the history."""
    known = {one.id: one for history in run.histories for one in history.operations}
    return [finding for restore in run.restores for finding in _judge(restore, known)]


def _judge(restore: Restore, known: dict[str, Operation]) -> Iterator[Finding]:
    record = restore.record
    if record.error is not None:
        yield Finding(
            kind=RESTORE_FAILED,
            verdict=Verdict.INVALID,
            summary=f"The backup on {record.host} could not be restored: {record.error}",
            evidence=({"host": record.host, "entry": record.entry, "error": record.error},),
        )
        return
    entry = known.get(record.entry)
    if entry is None:
        yield Finding(
            kind=INCOMPLETE_EVIDENCE,
            verdict=Verdict.UNKNOWN,
            summary=f"The entry {record.entry} that names the point in time of the restore on "
            f"{record.host} is in no history.",
            evidence=({"host": record.host, "entry": record.entry},),
        )
        return
    if restore.read is None:
        return  # its need says so
    there = {row.id for row in restore.read.rows}
    until_s = min(entry.end_s, record.named_s) if entry.outcome == "ok" else record.named_s
    missing = [
        one
        for one in known.values()
        if one.outcome == "ok"
        and one.leaves_entry
        and one.end_s < entry.begin_s
        and one.id not in there
    ]
    if entry.id not in there:
        missing.append(entry)
    beyond = [one for one in known.values() if one.begin_s > until_s and one.id in there]
    where = f"What was restored on {record.host} to the entry {entry.id}"
    if missing:
        before = counted(len(missing), "entry that was", "entries that were")
        yield _finding(f"{where} lacks {before} there before.", restore, missing)
    if beyond:
        after = counted(len(beyond), "entry that came", "entries that came")
        yield _finding(f"{where} has {after} after it.", restore, beyond)
    known_timeline = max(restore.backup_timeline or 0, record.named_timeline)
    if record.timeline is None or record.timeline <= known_timeline:
        yield _finding(
            f"{where} is on the timeline {record.timeline}, which is no new one: the cluster was "
            f"on {known_timeline}.",
            restore,
            [],
        )


def _finding(summary: str, restore: Restore, operations: list[Operation]) -> Finding:
    host = restore.record.host
    proofs: list[dict[str, Scalar]] = [
        {"host": host, "id": one.id, "site": one.site, "acknowledged_s": one.ended_s}
        for one in operations
    ]
    return Finding(
        kind=RESTORE_NOT_EXACT,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=tuple(proofs or [{"host": host, "timeline": restore.record.timeline}]),
    )


CHECKER = Checker(
    name="restore",
    question="What was restored has all that came before the entry asked for, and nothing after.",
    check=check,
    finds=(RESTORE_FAILED, RESTORE_NOT_EXACT, INCOMPLETE_EVIDENCE),
    needs=(needs.histories, restored),
    workloads=("ledger",),
    is_asked=is_asked,
)
