"""Marks and reads written by hand, to be put into a tiny run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from support.evidence.tiny import A, B

from chaos.evidence.reads import MarkOutcome, MarkRead, MarkWrite, ReadKind, ReadOutcome, SiteReads
from chaos.evidence.run import Run


def mark(
    n: int,
    at_s: float,
    *,
    site: str = "paris",
    outcome: MarkOutcome = "ok",
    node: str = A,
    timeline: int = 1,
    lsn: int = 100,
) -> MarkWrite:
    """A mark that was asked for at ``at_s`` and, by default, acknowledged 5 ms later."""
    return MarkWrite(
        site=site,
        n=n,
        begin_s=at_s,
        end_s=at_s + 0.005,
        outcome=outcome,
        node=node,
        timeline=timeline,
        lsn=lsn,
        attempt_s=at_s,
    )


def look(
    kind: ReadKind,
    at_s: float,
    seen: Mapping[str, int] | None = None,
    *,
    site: str = "paris",
    took_s: float = 0.005,
    outcome: ReadOutcome = "ok",
    node: str = B,
    after: int | None = None,
    bound_s: float | None = None,
    age_s: float | None = None,
) -> MarkRead:
    """A read that was begun at ``at_s``."""
    return MarkRead(
        site=site,
        kind=kind,
        begin_s=at_s,
        end_s=at_s + took_s,
        outcome=outcome,
        node=node,
        source="primary" if kind == "primary" else "replica",
        seen=seen or {},
        after=after,
        bound_s=bound_s,
        age_s=age_s,
    )


def with_reads(
    judged: Run,
    marks: Sequence[MarkWrite] = (),
    reads: Sequence[MarkRead] = (),
    *,
    complete: bool = True,
    reads_per_s: float = 5.0,
) -> Run:
    """The same run with marks and reads of every site with a client, in the order of their ends."""
    settings = {**judged.info.settings, "reads_per_s": reads_per_s}
    return replace(
        judged,
        info=replace(judged.info, settings=settings),
        reads=tuple(
            SiteReads(
                site=site.name,
                marks=tuple(one for one in marks if one.site == site.name),
                reads=tuple(one for one in reads if one.site == site.name),
                complete=complete,
            )
            for site in judged.info.client_sites
        ),
    )
