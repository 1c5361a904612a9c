"""Registers whose written values are unique: Gibbons and Korach's zones, in the time of a sort.

Where each value is written once, all calls of a value (its write and the reads of it) stand next to
each other in any order: a cluster. A cluster reaches from its first end to its last beginning. If
that is forward in time, the register held its value all that while: two such reigns may not
overlap, and no other cluster may lie wholly inside one. Nothing else can go wrong (P. Gibbons,
E. Korach: "Testing shared memories", SIAM J. Comput. 26(4), 1997, theorem 4.6), and the clusters in
the order of their left edges are the order that proves it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from chaos.consistency.calls import READ, WRITE, Call, shown

_NEVER = 1 << 62
"""Later than any position of a history."""
_BEFORE_ALL = -1
"""Earlier than any position: when the opening value was written."""


@dataclass(slots=True)
class _CallsOfValue:
    """All calls of one value."""

    value: Hashable
    write: Call | None = None
    reads: list[Call] = field(default_factory=list)
    is_opening: bool = False
    first_end: int = _NEVER
    last_begin: int = _BEFORE_ALL

    def add(self, call: Call) -> None:
        """Takes a call of its value; the reads come by their beginnings."""
        if call.f == WRITE:
            self.write = call
        else:
            self.reads.append(call)
        if call.ended is not None:
            self.first_end = min(self.first_end, call.ended)
        self.last_begin = max(self.last_begin, call.began)

    @property
    def calls(self) -> list[Call]:
        """The write, if it is in the history, and the reads."""
        return self.reads if self.write is None else [self.write, *self.reads]

    @property
    def is_needed(self) -> bool:
        """Whether it must have been: an open write that nobody saw need not."""
        return bool(self.reads) or self.is_opening or (self.first_end != _NEVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Why no order explains the calls: the few that contradict each other."""

    sentence: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zone:
    left: int
    right: int
    is_reign: bool
    cluster: _CallsOfValue


def are_unique(calls: Sequence[Call], opening: Hashable) -> bool:
    """Whether the calls are reads and writes only, and no value is written twice."""
    written = [call.value for call in calls if call.f == WRITE]
    return len({*written, opening}) == len(written) + 1 and all(
        call.f in {READ, WRITE} for call in calls
    )


def order_or_clash(calls: Sequence[Call], opening: Hashable) -> tuple[Call, ...] | Clash:
    """The order that explains the calls, or the calls for which there is none.

    Args:
        calls: Reads and writes of one register, each value written once (``are_unique``).
        opening: What it holds before the first write.
    """
    clusters = {opening: _CallsOfValue(opening, is_opening=True, first_end=_BEFORE_ALL)}
    for call in sorted(calls, key=lambda call: call.began):
        if call.f == WRITE or not call.is_open:
            clusters.setdefault(call.value, _CallsOfValue(call.value)).add(call)
    for cluster in clusters.values():
        if (clash := _without_its_write(cluster)) is not None:
            return clash
    zones = [_zone(cluster) for cluster in clusters.values() if cluster.is_needed]
    zones.sort(key=lambda zone: zone.left)
    reign: _Zone | None = None
    for zone in zones:
        if reign is not None and zone.is_reign and zone.left < reign.right:
            return _clash("were both read before and after the other", reign, zone)
        if reign is not None and not zone.is_reign and zone.right < reign.right:
            return _clash("came one inside the other's reign", reign, zone)
        if zone.is_reign:
            reign = zone
    return tuple(call for zone in zones for call in zone.cluster.calls)


def _zone(cluster: _CallsOfValue) -> _Zone:
    end, begin = cluster.first_end, cluster.last_begin
    return _Zone(
        left=min(end, begin), right=max(end, begin), is_reign=end <= begin, cluster=cluster
    )


def _without_its_write(cluster: _CallsOfValue) -> Clash | None:
    if cluster.is_opening or not cluster.reads:
        return None
    read = min(cluster.reads, key=lambda call: call.ended or _NEVER)
    if cluster.write is None:
        return Clash(sentence=f"Nobody wrote {shown(cluster.value)}: {read}.", calls=(read,))
    if read.ended is not None and read.ended < cluster.write.began:
        return Clash(
            sentence=f"{read} had ended before {cluster.write} began.", calls=(read, cluster.write)
        )
    return None


def _clash(words: str, one: _Zone, other: _Zone) -> Clash:
    calls = (*_edges(one.cluster), *_edges(other.cluster))
    values = f"{shown(one.cluster.value)} and {shown(other.cluster.value)}"
    return Clash(
        sentence=f"The values {values} {words}: {'; '.join(str(call) for call in calls)}.",
        calls=calls,
    )


def _edges(cluster: _CallsOfValue) -> tuple[Call, ...]:
    """The calls that make the zone: the first to end, and the last to begin; the write too."""
    first = min(cluster.calls, key=lambda call: call.ended or _NEVER)
    last = max(cluster.calls, key=lambda call: call.began)
    some = [first, last] if cluster.write is None else [cluster.write, first, last]
    return tuple({call.began: call for call in some}.values())
