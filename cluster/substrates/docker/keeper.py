"""A process that outlives us for a moment: it removes a run when this process ends, in any way.

It holds one end of a pipe, and this process the other. It is not in the session of this process, so
a kill of that whole session does not end it. If both are killed, the next run removes what they
left.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from weakref import WeakSet

DONE = b"."
END_TIMEOUT_S = 10.0


class Keeper:
    """Watches a run of this process, from now on.

    Args:
        run: what the run's things are labelled with.
    """

    def __init__(self, run: str) -> None:
        lifeline, self._hold = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(lifeline), run],
                pass_fds=(lifeline,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._hold)
            raise
        finally:
            os.close(lifeline)
        _held.add(self)

    def dismiss(self) -> None:
        """It is not needed any more. Idempotent."""
        if self in _held:
            with suppress(OSError):  # it was killed
                os.write(self._hold, DONE)
            self.let_go()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_TIMEOUT_S)

    def let_go(self) -> None:
        """Close our end of the pipe. Idempotent."""
        if self in _held:
            _held.discard(self)
            os.close(self._hold)


_held: WeakSet[Keeper] = WeakSet()


def _let_go_in_child() -> None:
    """A forked child that outlives us must not hold up the removal."""
    for keeper in list(_held):
        keeper.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)


def main() -> int:
    """Wait for the end of the process that started this one; then remove its run."""
    lifeline, run = int(sys.argv[1]), sys.argv[2]
    if os.read(lifeline, 1) == DONE:
        return 0
    # Only now: a keeper that is dismissed, as nearly all are, costs only its start.
    from cluster.substrates.docker.leftovers import SETTLE_S, remove_run  # noqa: PLC0415

    remove_run(run, pause_s=SETTLE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
