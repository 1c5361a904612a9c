"""How long a cluster did not serve, measured by faults and single writes: never too short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

UNNOTICED_S = 1.0
"""A write takes a fraction of this, including the connect; one that takes longer has waited."""


class OutageWatch:
    """How long writes have waited, as faults and single writes show. Several threads may use it.

    An outage lasts from the moment before a fault until a write is acknowledged that began after
    the fault took effect: a write that was already running proves nothing. A write that waits
    without a fault of ours counts as an outage of another cause.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.outages_s: list[float] = []
        """Outages that are over."""
        self._clock = clock
        self._since_s: float | None = None
        self._bitten_s = 0.0
        self._striking = 0
        self._changing = threading.Lock()

    @property
    def open_s(self) -> float | None:
        """For how long no write has been acknowledged, as far as known; None: there is no
        outage."""
        since_s = self._since_s
        return None if since_s is None else self._clock() - since_s

    @contextmanager
    def striking(self) -> Iterator[None]:
        """A block in which a fault strikes; at its end the fault has taken effect."""
        with self._changing:
            self._striking += 1
            self._begin(self._clock())
        try:
            yield
        finally:
            with self._changing:
                self._striking -= 1
                self._bitten_s = self._clock()
                self._begin(self._bitten_s)

    def refused(self, began_s: float) -> None:
        """A write that began then was not acknowledged."""
        with self._changing:
            self._begin(began_s)

    def acknowledged(self, began_s: float) -> None:
        """A write that began then was acknowledged."""
        with self._changing:
            if self._striking or began_s < self._bitten_s:
                return
            since_s = began_s if self._since_s is None else self._since_s
            waited_s = self._clock() - since_s
            if self._since_s is not None or waited_s > UNNOTICED_S:
                self.outages_s.append(waited_s)
            self._since_s = None

    def _begin(self, since_s: float) -> None:
        if self._since_s is None:
            self._since_s = since_s
