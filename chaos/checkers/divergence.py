"""Replicas whose content differs from the primary's after quiesce, and unreadable nodes."""

from __future__ import annotations

from collections import Counter

from chaos.checkers import needs
from chaos.checkers.authority import authority, no_authority
from chaos.checkers.base import Checker
from chaos.evidence.records import FinalRead, Scalar
from chaos.evidence.run import Run
from chaos.findings import INCOMPLETE_EVIDENCE, Finding, FindingKind, Verdict
from chaos.wording import counted

DIVERGENT_REPLICA = FindingKind(
    word="divergent-replica",
    meaning="INVALID: a replica's content differs from the primary's after quiesce.",
    heading="Replica with other content",
    proved="replicas differ in content",
    undecided="it is not known whether the replicas are equal",
)

UNREADABLE_NODE = FindingKind(
    word="unreadable-node",
    meaning="INVALID: a node could not be read after recovery.",
    heading="Node that could not be read",
    proved="a node could not be read at the end",
    undecided="a node could not be read at the end",
)


def check(run: Run) -> list[Finding]:
    """Compares every node with the primary, row by row, content included.

    A node that could not be read is INVALID: a drill heals everything before quiesce and demands
    recovery, so by then every node has to answer.
    """
    findings = [
        Finding(
            kind=UNREADABLE_NODE,
            verdict=Verdict.INVALID,
            summary=f"{read.node} could not be read after recovery: {read.error}",
            evidence=({"node": read.node, "error": read.error},),
        )
        for read in run.final_reads
        if read.error is not None
    ]
    primary = authority(run)
    if not run.final_reads:
        return []  # nothing to look at; the registry reports that
    if primary is None:
        return [*findings, no_authority(run, "whether the replicas are equal to it")]
    for read in run.final_reads:
        if read is primary or read.error is not None:
            continue
        differences = _differences(primary, read)
        if differences:
            findings.append(
                Finding(
                    kind=DIVERGENT_REPLICA,
                    verdict=Verdict.INVALID,
                    summary=f"{read.node} differs from the primary {primary.node} in "
                    f"{_counted(primary, differences)}.",
                    evidence=tuple(differences),
                )
            )
    return findings


def _differences(primary: FinalRead, replica: FinalRead) -> list[dict[str, Scalar]]:
    """What a replica lacks, has too much, or has otherwise; by id. The order of rows is free."""
    if _are_equal(primary, replica):
        return []
    expected = Counter((row.id, row.content) for row in (*primary.rows, *primary.state))
    found = Counter((row.id, row.content) for row in (*replica.rows, *replica.state))
    missing_ids = {id_ for id_, _ in expected - found}
    extra_ids = {id_ for id_, _ in found - expected}
    words = {
        **dict.fromkeys(missing_ids - extra_ids, "missing"),
        **dict.fromkeys(extra_ids - missing_ids, "extra"),
        **dict.fromkeys(missing_ids & extra_ids, "different content"),
    }
    return [{"node": replica.node, "id": id_, "difference": words[id_]} for id_ in sorted(words)]


def _counted(primary: FinalRead, differences: list[dict[str, Scalar]]) -> str:
    """What differs: entries, and where the workload keeps any, balances and the like."""
    word = ("row", "rows") if primary.state else ("entry", "entries")
    return counted(len(differences), *word)


def _are_equal(one: FinalRead, other: FinalRead) -> bool:
    """The quick way for the usual case: no id twice, and the same content by id.

    False does not mean different: nodes with the same duplicates are compared row by row.
    """
    if one.state != other.state:
        return False
    by_id, other_by_id = ({row.id: row.content for row in read.rows} for read in (one, other))
    return by_id == other_by_id and len(one.rows) == len(by_id) == len(other.rows)


CHECKER = Checker(
    name="divergence",
    question="All nodes hold the same content at the end.",
    check=check,
    finds=(
        DIVERGENT_REPLICA,
        UNREADABLE_NODE,
        INCOMPLETE_EVIDENCE,
    ),
    needs=(needs.final_reads, needs.one_primary),
)
