"""Seconds of lag from a heartbeat: which beats the primary has, and since when a replica lacks one.

A beat is a number that was committed on the primary. Each replica is asked for the number that it
has replayed. Its lag is the age of the first beat that it lacks, or 0 when it had the newest one
that was acknowledged before it was asked. Every time here is read from one monotonic clock, the
observer's: no clock of a server takes part. A replica that cannot be asked keeps the number that
it had, so its lag grows.

After a failover the new primary may lack the last beats. They are forgotten, because no replica can
catch up with what was lost; ``acknowledge`` learns this from the number that the server's row had.

Memory is bounded. When there are too many beats, neighbours are merged, and the merged one keeps
the earlier time: the lag of a replica that is catching up on old beats is then too large by a few
per cent of itself, and never too small.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

BEATS_MAX = 512
"""Merging where it matters least keeps beats evenly spread over the logarithm of the age: from one
second to a hundred days in steps of about 3 %."""

UNANSWERED_MAX = 64
"""Beats without an acknowledgement that are remembered, in case they were committed after all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The numbers ``first`` to ``last``; ``sent_s`` and ``acknowledged_s`` are those of ``first``.

    ``sent_s``: just before it was sent to the primary; so an age is never too small.
    """

    first: int
    last: int
    sent_s: float
    acknowledged_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The number that a replica had replayed (0: none of ours) when it was asked at ``asked_s``."""

    number: int
    asked_s: float


class Beats:
    """The beats that the primary has, oldest first, and those whose outcome is not known."""

    def __init__(self, *, beats_max: int = BEATS_MAX) -> None:
        self._beats_max = beats_max
        self._beats: list[Beat] = []
        self._sent: dict[int, float] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._beats)

    @property
    def newest(self) -> Beat | None:
        """The last one that was acknowledged."""
        return self._beats[-1] if self._beats else None

    def next(self, now_s: float) -> int:
        """The number of the beat that is about to be sent; a number is never used again."""
        self._number += 1
        self._sent[self._number] = now_s
        self._sent.pop(self._number - UNANSWERED_MAX, None)
        return self._number

    def acknowledge(self, number: int, *, before: int | None, now_s: float) -> None:
        """``number`` was committed, on a server whose row had ``before`` (None: it had no row).

        Beats above ``before`` were never on this server, or were lost. A beat whose acknowledgement
        was lost, and which is ``before``, was committed after all.
        """
        had = before or 0
        kept = [beat for beat in self._beats if beat.first <= had]
        if kept and kept[-1].last > had:
            kept[-1] = replace(kept[-1], last=had)
        for of in (had, number):
            if of in self._sent and (not kept or kept[-1].last < of):
                sent_s = self._sent[of]
                kept.append(Beat(first=of, last=of, sent_s=sent_s, acknowledged_s=now_s))
        self._beats = kept
        self._sent = {n: sent_s for n, sent_s in self._sent.items() if n > number}
        while len(self._beats) > self._beats_max:
            self._merge(now_s)

    def lag_s(self, seen: Seen, *, now_s: float, silent: bool) -> float | None:
        """How far behind a replica is; None before the first beat was acknowledged.

        Args:
            seen: its last answer.
            now_s: the time.
            silent: whether it was asked again since and did not answer. Beats after the question do
                not count against a replica that answered; they do count against a silent one.
        """
        if not self._beats:
            return None
        known_at_s = now_s if silent else seen.asked_s
        lacking = bisect_right(self._beats, seen.number, key=lambda beat: beat.last)
        if lacking == len(self._beats) or self._beats[lacking].acknowledged_s > known_at_s:
            return 0.0
        return max(0.0, now_s - self._beats[lacking].sent_s)

    def _merge(self, now_s: float) -> None:
        """Merge the two neighbours whose distance is smallest relative to their age."""

        def error(index: int) -> float:
            earlier, later = self._beats[index], self._beats[index + 1]
            return (later.sent_s - earlier.sent_s) / max(now_s - later.sent_s, 1e-9)

        # The newest stays as it is: a healthy replica is measured by it.
        index = min(range(len(self._beats) - 2), key=error)
        earlier, later = self._beats[index], self._beats[index + 1]
        self._beats[index : index + 2] = [replace(earlier, last=later.last)]
