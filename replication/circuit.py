"""A circuit breaker: when nothing works, fail at once instead of adding to the load. Pure.

After so many units of work in a row that failed for want of a primary, of sessions or of room on
the server, it opens: units are refused without being tried. After a while one is let through; if it
succeeds, or as soon as a primary is seen, the circuit closes; in the latter case on probation.
"""

from __future__ import annotations


class Circuit:
    """The state of one breaker; the caller has the clock.

    Args:
        after: failures in a row until it opens, at least 1.
        open_s: how long it stays open before it lets one unit through.
    """

    def __init__(self, *, after: int, open_s: float) -> None:
        self._after = after
        self._open_s = open_s
        self._failures = 0
        self._until_s: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Units are refused."""
        return self._until_s is not None

    def refused_for_s(self, now_s: float) -> float | None:
        """None: go on. Else the unit is refused, and the next one will be tried after so long."""
        if self._until_s is None:
            return None
        if now_s < self._until_s:
            return self._until_s - now_s
        if self._is_probing:
            return self._open_s
        self._is_probing = True
        return None

    def failed(self, now_s: float) -> bool:
        """A unit failed in a way that counts; True when this opened the circuit."""
        self._failures += 1
        was_open, self._is_probing = self.is_open, False
        if was_open or self._failures >= self._after:
            self._until_s = now_s + self._open_s
        return self.is_open and not was_open

    def abandoned(self) -> None:
        """A unit ended without saying anything about the cluster (its caller was cancelled)."""
        self._is_probing = False

    def hopeful(self) -> bool:
        """A member claims to be the primary; True when this closed the circuit.

        A claim is no success: if the next unit fails all the same, it opens again at once.
        """
        was_open = self.is_open
        if was_open:
            self._failures, self._until_s, self._is_probing = self._after - 1, None, False
        return was_open

    def closed(self) -> bool:
        """A unit succeeded; True when this closed the circuit."""
        was_open = self.is_open
        self._failures, self._until_s, self._is_probing = 0, None, False
        return was_open
