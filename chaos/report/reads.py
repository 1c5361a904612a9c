"""What was read beside the writes, as texts: a key figure, a line, and a table by site and kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaos.evidence.reads import ReadKind
from chaos.judge.verdict_file import ReadTotals
from chaos.report.words import count, seconds
from chaos.timing import ReadTiming
from cluster.topology.promises import ServiceKind

KIND_WORDS: Mapping[ReadKind, str] = {
    "primary": "on the primary",
    "own-write": "with its own last write",
    "bounded": "at most 5 s old",
    "any": "of any age",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """One site and kind of reads in the table."""

    site: str
    kind: str
    made: str
    answered: str
    latency: str
    longest: str


def read_rows(reads: ReadTotals | None) -> tuple[ReadRow, ...]:
    """By site and kind, in order; none where nothing was read."""
    return () if reads is None else tuple(_row(one) for one in reads.sites)


def waits(reads: ReadTotals) -> tuple[str, ...]:
    """The longest that a site waited for a read: ``primary 20.1 s``, ``replicas 300 ms``."""
    services: tuple[tuple[str, ServiceKind], ...] = (
        ("primary", "read-primary"),
        ("replicas", "read-replica"),
    )
    longest = [(name, reads.longest_s(service)) for name, service in services]
    return tuple(f"{name} {seconds(wait_s)}" for name, wait_s in longest if wait_s is not None)


def behind_words(reads: ReadTotals) -> str:
    """Said where a server that took itself for the primary answered; else empty."""
    number = reads.behind_on_primary
    if not number:
        return ""
    return f"{count(number)} by an old primary, behind what other sites had written"


def _row(one: ReadTiming) -> ReadRow:
    longest = "–" if one.longest_gap is None else seconds(one.longest_gap.gap_s)
    if one.longest_gap is not None and one.longest_gap.open:
        longest += ", in vain"
    if one.not_due:
        longest += " (could not be served)"
    return ReadRow(
        site=one.site,
        kind=KIND_WORDS[one.kind],
        made=count(one.reads),
        answered=count(one.ok),
        latency="–" if one.p50_ms is None else f"{one.p50_ms:.1f}",
        longest=longest,
    )
