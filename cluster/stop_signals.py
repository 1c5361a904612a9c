"""Stop signals of a command that waits, in its main thread, for other processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NUDGE = signal.SIGURG
"""Interrupts a wait and means nothing; ignored by default (signal(7))."""
_END = b"\0"


@contextmanager
def handled(stop: object) -> Iterator[None]:
    """Have the stop signals handled by ``stop``, and restore their handlers afterwards.

    At once, whatever the main thread waits for. The kernel gives a signal to any thread that takes
    it (signal(7)), and a library may have made some: numpy's OpenBLAS does. Python runs handlers in
    the main thread only ("Signals and threads", signal module), which would go on waiting in
    ``waitpid`` or ``read``; so it is nudged.
    """
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}  # type: ignore[arg-type]
    try:
        with _nudged():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _nudged() -> Iterator[None]:
    """Interrupt what this thread, the main one, waits for, whenever a signal comes."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.signal(NUDGE, lambda number, frame: None)
    before_fd = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    thread = threading.Thread(
        target=_nudge, args=(heard, threading.get_ident()), name="nudge", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before_fd)
        os.write(told, _END)
        thread.join()
        os.close(told)
        os.close(heard)
        signal.signal(NUDGE, before)


def _nudge(heard: int, waiting: int) -> None:
    """A byte for each signal that any thread took (``signal.set_wakeup_fd``), until ``_END``."""
    while True:
        numbers = os.read(heard, 512)
        if _END in numbers:
            return
        if numbers.strip(bytes([NUDGE])):
            signal.pthread_kill(waiting, NUDGE)
