"""Patroni's wall clock on a host whose clock can be put wrong: ``time.time`` reads a file.

The file has the seconds that the clock is ahead, ``+60.000000``. It is read at each call, some ten
microseconds, so a step is seen at once; CLOCK_MONOTONIC and what waits by it stay right. Patroni
asks for the time by ``time.time`` alone, its REST API and its log too.
"""

from __future__ import annotations

import os
import time

from cluster.patroni.daemon import CLOCK_VARIABLE

PRELOAD_VARIABLE = "BASCULE_CLOCK_PRELOAD"
"""Of the environment: the library that tells PostgreSQL the same time."""


def follow_clock() -> None:
    """Take the time from the file, and have PostgreSQL do so, if this host has such a clock."""
    path = os.environ.pop(CLOCK_VARIABLE, None)
    library = os.environ.pop(PRELOAD_VARIABLE, None)
    if path is None or library is None:
        return
    os.environ["LD_PRELOAD"] = library  # heeded by what is started from here, not by this process
    machine = time.time

    def wall() -> float:
        with open(path, "rb", buffering=0) as file:
            return machine() + float(file.read())

    time.time = wall
