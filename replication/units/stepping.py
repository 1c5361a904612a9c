"""How long a unit of work pauses between two steps. Pure, but for the jitter."""

from __future__ import annotations

import random

import tenacity

from replication.failures import Action

PAUSE_S_MIN, PAUSE_S_MAX = 0.01, 0.2
"""Between attempts, doubling, with jitter. Short, because a pause delays the first write after a
failover; what a server that is full needs instead is ``BACK_OFF_S``."""

BACK_OFF_S = 1.0


class Again(Exception):
    """Another step may help; after ``pause_s`` if that is known, else as ``action`` has it."""

    def __init__(self, action: Action, *, pause_s: float | None = None) -> None:
        super().__init__(action.value)
        self.action = action
        self.pause_s = pause_s


_growing_pause = tenacity.wait_random_exponential(
    multiplier=2 * PAUSE_S_MIN, min=PAUSE_S_MIN, max=PAUSE_S_MAX
)


def first_pause_s(again: Again) -> float:
    """How long to wait after the first step, with jitter."""
    usual_s = BACK_OFF_S if again.action is Action.BACK_OFF else PAUSE_S_MIN
    return usual_s * random.uniform(0.5, 1.5) if again.pause_s is None else again.pause_s


def pause_of(state: tenacity.RetryCallState) -> float:
    """How long tenacity waits before the next step."""
    error = None if state.outcome is None else state.outcome.exception()
    if isinstance(error, Again) and (error.pause_s or error.action is Action.BACK_OFF):
        return first_pause_s(error)
    return _growing_pause(state)
