"""Operations of one site in equal intervals of time: rates and latencies to draw."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.evidence.records import Operation
from chaos.report.charts.scales import nice_step

BINS_MAX = 140
"""About six pixels a bin in a chart 860 wide: finer is noise, coarser hides short outages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Acknowledged writes that ended in ``from_s..to_s`` (half open).

    A latency belongs to the bin in which its write ended: a write that waited through an outage
    shows as a peak where service came back.
    """

    from_s: float
    to_s: float
    ok: int
    rate_per_s: float
    p50_ms: float | None
    max_ms: float | None


def bin_width_s(extent_s: float) -> float:
    """A round width that cuts ``extent_s`` into at most ``BINS_MAX`` bins; at least 0.1 s."""
    return max(nice_step(extent_s, BINS_MAX), 0.1) if extent_s > 0 else 0.1


def bin_operations(
    operations: Iterable[Operation], begin_s: float, end_s: float, width_s: float
) -> tuple[Bin, ...]:
    """Bins of ``width_s`` that cover ``begin_s..end_s``; the last is half to one and a half of it.

    Acknowledged operations outside count into the first or last bin, so that none is lost.
    """
    if end_s <= begin_s:
        return ()
    # A short rest joins the last bin: a rate over a few milliseconds is noise.
    count = max(1, math.floor((end_s - begin_s) / width_s + 0.5))
    latencies_ms: list[list[float]] = [[] for _ in range(count)]
    for operation in operations:
        if operation.outcome == "ok" and operation.ended_s is not None:
            index = int((operation.ended_s - begin_s) / width_s)
            latency_ms = (operation.ended_s - operation.invoked_s) * 1000
            latencies_ms[min(max(index, 0), count - 1)].append(latency_ms)
    return tuple(
        _bin(
            begin_s + index * width_s,
            end_s if index == count - 1 else begin_s + (index + 1) * width_s,
            found,
        )
        for index, found in enumerate(latencies_ms)
    )


def _bin(from_s: float, to_s: float, latencies_ms: Sequence[float]) -> Bin:
    return Bin(
        from_s=from_s,
        to_s=to_s,
        ok=len(latencies_ms),
        rate_per_s=len(latencies_ms) / (to_s - from_s),
        p50_ms=statistics.median(latencies_ms) if latencies_ms else None,
        max_ms=max(latencies_ms) if latencies_ms else None,
    )
