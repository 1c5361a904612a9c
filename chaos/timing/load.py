"""When load was offered to a site, and the gaps in which it was not served. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import sub

from chaos.evidence.events import Phase, PhaseBegan, ProcessEnded
from chaos.evidence.records import SiteHistory, Stall
from chaos.evidence.run import Run
from chaos.timing.model import ServiceGap

UNSERVED_S_MIN = 1.0
"""A gap counts as time without service from here on. A checkpoint or a busy machine makes gaps of
some tenths of a second, which no user would call an outage."""

UNSERVED_INTERVALS_MIN = 10
"""For slow loads: this many writes in a row must be missing (at 2 writes a second: 5 s)."""


LOAD_PROCESS = "load"
"""Name of the load process in ``child-exit`` events (docs/reference/run-folder.md)."""

STALL_S_MAX = 0.25
"""Shorter stalls of a load process are not counted: some 10 ms are usual on two busy cores, and a
quarter of a second is about a percent of the shortest failover by expiry (ttl 20)."""

EDGE_S = 0.1
"""A stall that ended so shortly before a gap began touches it: after a stall, the answers that
queued up are noted within some turns of the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From ``begin_s`` to ``end_s``."""

    begin_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its length; never negative."""
        return max(0.0, self.end_s - self.begin_s)


def phase_window(run: Run, phase: Phase) -> Window | None:
    """From the first begin of ``phase`` to the begin of the next phase; None: not in the record.

    A phase that is the last one of the record ends with the record's last event.
    """
    phases = run.events_of(PhaseBegan)
    for index, event in enumerate(phases):
        if event.phase == phase:
            later = phases[index + 1] if index + 1 < len(phases) else run.events[-1]
            return Window(begin_s=event.t_s, end_s=max(event.t_s, later.t_s))
    return None


def load_window(run: Run) -> Window | None:
    """From the begin of the steady phase to the end of the load (the quiesce phase).

    Where the record lacks the begin, the first invocation stands in. A run that was broken off
    has no quiesce phase: its load ended when the last load process died, or, where the record does
    not say when that was, not before the last moment on record. None: there was no load at all.
    """
    moments = [_span(history) for history in run.histories if history.operations]
    if not moments:
        return None
    steady = phase_window(run, Phase.STEADY)
    quiesce = phase_window(run, Phase.QUIESCE)
    begin_s = steady.begin_s if steady else min(first for first, _ in moments)
    end_s = quiesce.begin_s if quiesce else _broken_off_s(run, max(last for _, last in moments))
    return Window(begin_s=begin_s, end_s=max(begin_s, end_s))


def was_broken_off(run: Run) -> bool:
    """The load was not brought to its end by the drill: it ended when the drill did."""
    return phase_window(run, Phase.QUIESCE) is None


def load_exit_s(run: Run, site: str, *, expected: bool | None = None) -> float | None:
    """When the load process of a site ended; None where the record does not say.

    Args:
        run: The evidence.
        site: The site.
        expected: Only ends that were expected, or only others; None: any.
    """
    hosts = {host.name for one in run.info.sites if one.name == site for host in one.hosts}
    exits_s = [
        event.t_s
        for event in run.events_of(ProcessEnded)
        if event.process == LOAD_PROCESS
        and event.host in hosts
        and expected in {None, event.expected}
    ]
    return max(exits_s, default=None)


def _broken_off_s(run: Run, last_operation_s: float) -> float:
    """When the load of a run without quiesce phase ended, as far as the record tells."""
    exits_s = [load_exit_s(run, history.site) for history in run.histories]
    known_s = [exit_s for exit_s in exits_s if exit_s is not None]
    if known_s and len(known_s) == len(exits_s):
        return max(last_operation_s, *known_s)
    return max([last_operation_s, *(event.t_s for event in run.events[-1:])])


def unserved_s_min(rate_per_s: float | None) -> float:
    """From which length on a gap is time without service, at this rate a site.

    Args:
        rate_per_s: Operations asked for, a site and second; None where it is not known.

    Returns:
        Seconds: the larger of one second and ten expected intervals.
    """
    if not rate_per_s or rate_per_s <= 0:
        return UNSERVED_S_MIN
    return max(UNSERVED_S_MIN, UNSERVED_INTERVALS_MIN / rate_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteGaps:
    """The stretches between one acknowledged write of a site and the next.

    Kept as moments, not as gaps: there are as many as acknowledged writes, and few are asked for.
    """

    moments_s: tuple[float, ...]
    """The begin of the load, then every acknowledgement, in ascending order; never empty."""
    demand_end_s: float
    """When the site's load no longer wanted service (``demand_end_s``)."""

    @property
    def open_gap(self) -> ServiceGap | None:
        """From the last acknowledgement to the end of the demand; None: served to the end.

        A load that had everything acknowledged and then stopped was served to the end.
        """
        last_s = self.moments_s[-1]
        if self.demand_end_s <= last_s:
            return None
        return ServiceGap(from_s=last_s, to_s=self.demand_end_s, open=True)

    def longest_closed(self, after_s: float = -math.inf) -> ServiceGap | None:
        """The longest gap between two moments that ends after ``after_s``."""
        first = max(1, bisect_right(self.moments_s, after_s))
        ends_s = self.moments_s[first:]
        begins_s = self.moments_s[first - 1 : -1]
        if not ends_s:
            return None
        lengths_s = list(map(sub, ends_s, begins_s))
        index = lengths_s.index(max(lengths_s))
        return ServiceGap(from_s=begins_s[index], to_s=ends_s[index])

    def longest(self) -> ServiceGap | None:
        """The longest of all, the open one included."""
        candidates = [gap for gap in (self.longest_closed(), self.open_gap) if gap is not None]
        return max(candidates, key=lambda gap: gap.gap_s, default=None)

    def longer_than(self, threshold_s: float) -> list[ServiceGap]:
        """All that are longer, the open one included, in order."""
        closed = [
            ServiceGap(from_s=from_s, to_s=to_s)
            for from_s, to_s in pairwise(self.moments_s)
            if to_s - from_s > threshold_s
        ]
        last = self.open_gap
        return [*closed, last] if last is not None and last.gap_s > threshold_s else closed

    def unserved_s(self, threshold_s: float) -> float:
        """The sum of all gaps that are longer than ``threshold_s``."""
        lengths_s = map(sub, self.moments_s[1:], self.moments_s)
        closed_s: float = sum(length_s for length_s in lengths_s if length_s > threshold_s)
        open_s = self.open_gap.gap_s if self.open_gap else 0.0
        return closed_s + (open_s if open_s > threshold_s else 0.0)


def site_gaps(history: SiteHistory, window: Window, ended_s: float) -> SiteGaps:
    """The gaps of one site from the begin of the load on.

    Args:
        history: What the site's load process wrote.
        window: The time of the load.
        ended_s: Until when the site's load wanted service (``demand_end_s``).
    """
    acknowledged = sorted(
        operation.ended_s
        for operation in history.operations
        if operation.outcome == "ok"
        and operation.ended_s is not None
        and operation.ended_s >= window.begin_s
    )
    return SiteGaps(moments_s=(window.begin_s, *acknowledged), demand_end_s=ended_s)


def demand_end_s(run: Run, history: SiteHistory, window: Window) -> float:
    """The last moment at which the site's load wanted service.

    An operation that never ended wanted it until its load process ended. That is the end of the
    load, where the process closed its history or the whole run was broken off; and the moment of
    its death, where it died alone. A history that is cut short though its process ended as it
    should has lost lines, and says nothing about service after the last one.

    When the load is told to end it begins nothing more. A site in which something is acknowledged
    after that was served to the end: whoever still waits then, waits for long work of his own.
    """
    if not history.operations:
        return window.end_s
    last_s = _span(history)[1]
    acknowledged_s = max(
        (op.ended_s for op in history.operations if op.outcome == "ok" and op.ended_s is not None),
        default=-math.inf,
    )
    if not was_broken_off(run) and acknowledged_s >= window.end_s:
        return acknowledged_s
    if all(op.ended_s is not None for op in history.operations):
        return last_s
    if history.complete:
        return max(window.end_s, last_s)
    if was_broken_off(run):
        exit_s = load_exit_s(run, history.site)
        return max(window.end_s if exit_s is None else exit_s, last_s)
    return max(load_exit_s(run, history.site, expected=False) or last_s, last_s)


def _span(history: SiteHistory) -> tuple[float, float]:
    """The first and the last moment of a history that has operations."""
    first = min(operation.invoked_s for operation in history.operations)
    last = max(
        operation.invoked_s if operation.ended_s is None else operation.ended_s
        for operation in history.operations
    )
    return first, last


def touching_stalls(gap: ServiceGap, stalls: Sequence[Stall]) -> tuple[Stall, ...]:
    """The stalls that overlap a gap or its edges.

    A stall is noted when the loop runs again: it lasted from ``t_s - stall_s`` to ``t_s``.
    """
    return tuple(
        stall
        for stall in stalls
        if stall.stall_s > STALL_S_MAX
        and stall.t_s >= gap.from_s - EDGE_S
        and stall.t_s - stall.stall_s <= gap.to_s
    )


def blur_s(gap: ServiceGap, stalls: Sequence[Stall]) -> float:
    """By so much the length of a gap may be wrong, either way: the stalls that touch it."""
    return sum(stall.stall_s for stall in touching_stalls(gap, stalls))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of values in ascending order; None when there is none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
