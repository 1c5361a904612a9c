"""A stop signal is handled at once, whichever thread the kernel gives it to."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from cluster.stop_signals import NUDGE, STOP_SIGNALS, handled

SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_that_another_thread_takes_ends_the_wait(number: signal.Signals) -> None:
    """As one that a library has made; the main thread waits for a process meanwhile."""
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    with subprocess.Popen(SLEEPS) as process:
        ended: list[int] = []

        def stop(which: int, _: object) -> None:
            ended.append(which)
            process.kill()

        before = signal.getsignal(number), signal.getsignal(NUDGE)
        assert other.ident is not None
        timer = threading.Timer(0.2, signal.pthread_kill, (other.ident, number))
        with handled(stop):
            timer.start()
            process.wait()
    over.set()
    other.join()
    assert ended == [number]
    assert (signal.getsignal(number), signal.getsignal(NUDGE)) == before
