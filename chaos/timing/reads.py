"""How long each site waited for reads of each kind, and when they were due. Pure.

Unlike writes, reads come seconds apart, so the time between two answers says little. What counts is
how long somebody waited: from the begin of the first read without an answer to the next answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chaos.evidence.reads import READ_KINDS, MarkRead, ReadKind, SiteReads
from chaos.evidence.run import Run
from chaos.timing.due import due_parts, longest_due_parts, not_due
from chaos.timing.load import Window, percentile
from chaos.timing.model import NotDue, ReadTiming, ServiceGap
from cluster.topology.promises import ServiceKind

DEMANDED: Mapping[ReadKind, ServiceKind] = {"primary": "read-primary", "any": "read-replica"}
"""What a topology promises (``cluster/topology/promises.py``) of which kind. It promises nothing of
the others: a bound of seconds, or the last write, may be more than a replica has that was cut off.
"""


def measure_reads(run: Run, window: Window, steady: Window | None) -> tuple[ReadTiming, ...]:
    """Every site and kind, from the begin of the load's window on.

    Args:
        run: The evidence.
        window: The time of the load.
        steady: The steady phase, for latencies; None: not in the record.
    """
    order = {site.name: index for index, site in enumerate(run.info.sites)}
    stretches = {
        kind: not_due(run, service) if run.reads else {} for kind, service in DEMANDED.items()
    }
    return tuple(
        _measure(found, kind, stretches.get(kind, {}).get(found.site, ()), window, steady)
        for found in sorted(run.reads, key=lambda one: order.get(one.site, len(order)))
        for kind in READ_KINDS
    )


def _measure(
    found: SiteReads,
    kind: ReadKind,
    stretches: tuple[NotDue, ...],
    window: Window,
    steady: Window | None,
) -> ReadTiming:
    reads = [
        read
        for read in found.reads
        if read.kind == kind and window.begin_s <= read.begin_s < window.end_s
    ]
    gaps = tuple(read_gaps(reads))
    due, after_heal = longest_due_parts(gaps, stretches)
    return ReadTiming(
        site=found.site,
        kind=kind,
        reads=len(reads),
        ok=sum(read.outcome == "ok" for read in reads),
        p50_ms=percentile(sorted(_steady_latencies_ms(reads, steady)), 0.5),
        longest_gap=max(gaps, key=lambda gap: gap.gap_s, default=None),
        not_due=stretches,
        longest_due=due,
        longest_after_heal=after_heal,
        in_vain=_in_vain(gaps, stretches),
    )


def _in_vain(gaps: Sequence[ServiceGap], stretches: Sequence[NotDue]) -> ServiceGap | None:
    """The part of the last wait that ended without an answer while one was due."""
    parts = [part for gap in gaps[-1:] for part, _ in due_parts(gap, stretches)]
    return next((part for part in parts if part.open), None)


def read_gaps(reads: Sequence[MarkRead]) -> Iterator[ServiceGap]:
    """How long somebody waited for each answer, in order; the last one is open if none came.

    Args:
        reads: Of one site and kind, in order.
    """
    since_s: float | None = None
    for read in reads:
        since_s = read.begin_s if since_s is None else since_s
        if read.outcome != "fail":
            yield ServiceGap(from_s=since_s, to_s=read.end_s)
            since_s = None
    if since_s is not None:
        yield ServiceGap(from_s=since_s, to_s=reads[-1].end_s, open=True)


def _steady_latencies_ms(reads: Sequence[MarkRead], steady: Window | None) -> Iterator[float]:
    for read in reads:
        if steady and read.outcome == "ok" and steady.begin_s <= read.begin_s < steady.end_s:
            yield (read.end_s - read.begin_s) * 1000
