"""Whether every acknowledged access is in the logs of some node at the end, with the right name.

An access is acknowledged when a session was answered, with rows or with a refusal, and then ended
normally: of such the server has written its line (of a statement before it runs it, of an error
before it tells it). That the node lost the line afterwards is what is looked for: ``pg_rewind`` and
a new copy replace logs below PGDATA. A login that was refused has no mark of ours in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaos.checkers.base import Checker, Gap
from chaos.checkers.needs import access_file
from chaos.evidence.access import ProbeAnswer
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.wording import counted, joined

AUDIT_GAP = FindingKind(
    word="audit-gap",
    meaning="INVALID: an acknowledged access is in no node's log at the end, or under another "
    "name.",
    heading="Accesses that left no trail",
    proved="acknowledged accesses left no trail",
    undecided="it is not known whether every access left a trail",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailTotals:
    """How much of what was accessed is in the logs."""

    acknowledged: int
    missing: tuple[ProbeAnswer, ...]
    misnamed: tuple[ProbeAnswer, ...]
    """In the log of some node, with another user than asked."""


def totals(run: Run) -> TrailTotals:
    """Counted over all nodes."""
    users: dict[str, set[str]] = {}
    for trail in run.access.trails:
        for id_, user in trail.entries.items():
            users.setdefault(id_, set()).add(user)
    accesses = [one for one in run.access.answers if one.is_access]
    return TrailTotals(
        acknowledged=len(accesses),
        missing=tuple(one for one in accesses if one.id not in users),
        misnamed=tuple(one for one in accesses if users.get(one.id, {one.role}) != {one.role}),
    )


def check(run: Run) -> list[Finding]:
    """Looks for every acknowledged access in the union of the nodes' logs."""
    found = totals(run)
    findings: list[Finding] = []
    if found.missing:
        nodes = sorted({one.node for one in found.missing})
        directories = sorted(
            {trail.directory or "?" for trail in run.access.trails if trail.node in nodes}
        )
        findings.append(
            Finding(
                kind=AUDIT_GAP,
                verdict=Verdict.INVALID,
                summary=f"{counted(len(found.missing), 'access', 'accesses')} of "
                f"{found.acknowledged:,} that were acknowledged, all on {joined(nodes)}, are in no "
                f"node's log at the end (log_directory = {joined(directories)}).",
                evidence=tuple(_evidence(one) for one in found.missing),
            )
        )
    if found.misnamed:
        findings.append(
            Finding(
                kind=AUDIT_GAP,
                verdict=Verdict.INVALID,
                summary=f"{counted(len(found.misnamed), 'access', 'accesses')} stand in the logs "
                "under another name than that of whoever asked.",
                evidence=tuple(_evidence(one) for one in found.misnamed),
            )
        )
    return findings


def _evidence(one: ProbeAnswer) -> Evidence:
    return {
        "t_s": one.end_s,
        "access": one.id,
        "node": one.node,
        "role": one.role,
        "probe": one.probe,
        "moment": one.moment,
    }


def every_trail(run: Run) -> Iterator[Gap]:
    """The logs of every node were looked through, and somebody was let in."""
    known = {trail.node: trail for trail in run.access.trails}
    for node in run.info.nodes:
        if node not in known:
            yield Gap(what=f"the trail of {node} is not on record", part="access.jsonl")
        elif (why := known[node].error) is not None:
            yield Gap(what=f"the trail of {node} could not be read ({why})", part="access.jsonl")
    if not any(one.is_access for one in run.access.answers):
        yield Gap(what="no access was acknowledged", part="access.jsonl")


CHECKER = Checker(
    name="trail",
    question="Every acknowledged access is in the trail of some node, under the right name.",
    check=check,
    finds=(AUDIT_GAP,),
    needs=(access_file, every_trail),
    is_asked=lambda run: run.info.scenario.access.trail,
)
