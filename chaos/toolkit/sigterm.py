"""SIGTERM ends an experiment wherever it comes.

chaoslib's own handler raises ``InterruptExecution``, an ordinary exception, in whatever the main
thread does at that moment. Much of that catches ordinary exceptions and goes on: ``logging`` while
it writes a line, chaoslib where an activity begins or ends, or while it tells its event handlers
(chaostoolkit-lib 1.44). The experiment would then run to its end as if nobody had asked. So while
one of ours is under way that handler is replaced by one that raises ``SystemExit``, as chaoslib's
handler of SIGUSR1 does.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

OnSignal = Callable[[int, FrameType | None], object] | int | None
GRACEFUL_EXIT = 20
"""``chaoslib.exit.exit_gracefully`` has this one: interrupted, and controls are called."""
THEIRS = "chaoslib.exit"
"""The module of the handler that is replaced; another one is left alone."""


class SureEnd:
    """The handler in the place of chaoslib's, which puts back what it found when a run is over."""

    def __init__(self) -> None:
        self._replaced: OnSignal = signal.SIG_DFL

    def begin(self) -> None:
        """From now on SIGTERM surely ends the experiment. Idempotent; without effect where none
        runs, and in the background: only the main thread can say so, and gets signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        found = signal.getsignal(signal.SIGTERM)
        if getattr(found, "__module__", "") == THEIRS:
            signal.signal(signal.SIGTERM, self._end)
            self._replaced = found

    def over(self) -> None:
        """chaoslib's own again: it ends the experiment, and its handler lets the journal be
        written. Idempotent."""
        if signal.getsignal(signal.SIGTERM) == self._end:
            signal.signal(signal.SIGTERM, self._replaced)

    @staticmethod
    def _end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(GRACEFUL_EXIT)


sure_end = SureEnd()
"""This process's."""
