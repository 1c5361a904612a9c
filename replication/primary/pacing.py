"""How often the members are asked: seldom while all is well, often while a primary is looked for.

A member's REST API is a small server, and every process of every application asks it. So the quick
pace is for a search only, and a search that lasts becomes slower. Pure.
"""

from __future__ import annotations

SEARCH_INTERVAL_S = 0.1
"""Between two questions to one member while a primary is looked for. A failover takes seconds; this
is what the search may add to it."""

SEARCH_INTERVAL_S_MAX = 1.0
"""In an outage of ten minutes or more: what it adds is negligible."""

SEARCH_QUICK_S = 60.0
"""How long a search keeps its first pace: a failover at Patroni's defaults takes 39 s at most."""

WATCH_INTERVAL_S = 2.0
"""Between two questions to one member while all is well; HAProxy's checks ask as often."""

DOUBT_PAUSE_S_MIN, DOUBT_PAUSE_S_MAX = 0.1, 2.0
"""Between two doubts about one member whose Patroni answers that all is well: the pause doubles.
With the regular questions that makes less than one a second."""

DOUBT_FORGOTTEN_S = 30.0
"""A doubt after this time counts as the first one again."""

ROLL_INTERVALS = 5
"""The number of regular intervals between two questions who the members are. Patroni writes down a
member's address once in ``loop_wait``, which is 10 s by default."""

ROLL_SEARCH_INTERVAL_S = 1.0
"""Between two such questions while there is no primary. Patroni may read the DCS for the answer, so
they are rarer than those to ``/primary``."""


def search_pause_s(elapsed_s: float, *, first_s: float, most_s: float) -> float:
    """The pause between two questions of a search that has lasted ``elapsed_s``.

    It stays ``first_s`` for as long as a failover may take, then grows with the outage up to
    ``most_s``: what it adds stays below a five-hundredth of the whole for ``/primary``.
    """
    return min(max(first_s, most_s), first_s * max(1.0, elapsed_s / SEARCH_QUICK_S))


class Doubts:
    """Which doubts about members are worth a question: the first at once, then ever fewer."""

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}
        self._pause_s: dict[str, float] = {}

    def admit(self, node: str, now_s: float) -> bool:
        """Whether ``node`` is to be asked about now."""
        last_s = self._last_s.get(node)
        pause_s = DOUBT_PAUSE_S_MIN
        if last_s is not None and now_s - last_s < DOUBT_FORGOTTEN_S:
            pause_s = self._pause_s[node]
            if now_s - last_s < pause_s:
                return False
        self._last_s[node] = now_s
        self._pause_s[node] = min(2 * pause_s, DOUBT_PAUSE_S_MAX)
        return True

    def forget(self, node: str) -> None:
        """It was lost, or is gone: the next doubt is the first one again."""
        self._last_s.pop(node, None)
        self._pause_s.pop(node, None)
