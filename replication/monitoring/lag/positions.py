"""Bytes of lag: the primary's WAL position minus the last one known of a replica. Pure.

Positions are bytes since the beginning of the WAL (``pg_lsn - '0/0'``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

WalStage = Literal["sent", "write", "flush", "replay"]
STAGES: tuple[WalStage, ...] = ("sent", "write", "flush", "replay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A primary, and how far its WAL goes.

    ``has_lock``: its Patroni says so. ``system_identifier`` tells clusters apart (None: unknown).
    """

    member: str
    timeline: int
    position: int
    has_lock: bool = False
    system_identifier: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far the WAL of a replica goes, on ``timeline`` (None: unknown)."""

    sent: int
    write: int
    flush: int
    replay: int
    timeline: int | None = None

    def at(self, stage: WalStage) -> int:
        """The position of a stage."""
        match stage:
            case "sent":
                return self.sent
            case "write":
                return self.write
            case "flush":
                return self.flush
            case "replay":
                return self.replay


def reached_by_itself(received: int | None, replayed: int | None, timeline: int | None) -> Reached:
    """A replica's own answer, for when the primary has no row of it.

    What it did not receive must be sent again, so ``sent`` is what it received. A receiver that was
    just started begins its position at the start of a segment, so what was replayed counts as
    received too.
    """
    replay = replayed or 0
    flush = max(received or 0, replay)
    return Reached(sent=flush, write=flush, flush=flush, replay=replay, timeline=timeline)


def choose_reference(
    candidates: Iterable[Reference], previous: Reference | None
) -> Reference | None:
    """The primary to measure against.

    The highest timeline wins, then the leader lock, then the position. A primary on a lower
    timeline than one that was seen before is stale, and never the reference: while there is no
    other, ``previous`` stays, with its last position. Only the leader of another cluster (created
    again under the same name) starts from zero.
    """
    best = max(candidates, key=lambda one: (one.timeline, one.has_lock, one.position), default=None)
    if best is None or previous is None:
        return best or previous
    ids = (best.system_identifier, previous.system_identifier)
    if None not in ids and ids[0] != ids[1] and best.has_lock:
        return best
    return best if best.timeline >= previous.timeline else previous


def lag_bytes(
    reference: Reference, reached: Reached, timeline_ends: Mapping[int, int]
) -> dict[WalStage, int]:
    """How far ``reached`` is behind ``reference``, stage by stage; never negative.

    Args:
        timeline_ends: where earlier timelines ended. WAL that a replica (or a former primary) has
            of such a timeline beyond its end is not the primary's WAL: it counts only up to the
            end.
    """
    end: int | None = None
    if reached.timeline is not None:
        later = [tl for tl in timeline_ends if reached.timeline <= tl < reference.timeline]
        end = min((timeline_ends[tl] for tl in later), default=None)
    lag: dict[WalStage, int] = {}
    for stage in STAGES:
        position = reached.at(stage)
        common = position if end is None else min(position, end)
        lag[stage] = max(0, reference.position - common)
    return lag
