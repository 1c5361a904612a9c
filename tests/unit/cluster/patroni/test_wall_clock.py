"""Patroni's clock follows the file; the clock that only counts, and what waits by it, do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cluster.patroni.daemon import CLOCK_VARIABLE
from cluster.patroni.wall_clock import PRELOAD_VARIABLE

CHILD = """
import os, sys, time
from cluster.patroni.wall_clock import follow_clock
machine, counts = time.time, time.monotonic
follow_clock()
def ahead():
    return round(time.time() - machine())
found = [ahead()]
for words in ("+3600.0", "-7.5e1"):
    with open(sys.argv[1], "w") as file:
        file.write(words)
    found.append(ahead())
begun = counts()
time.sleep(0.01)
print(*found, counts is time.monotonic, counts() - begun < 5, os.environ.get("LD_PRELOAD"))
"""


def said(clock: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(clock)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_it_jumps_as_the_file_says(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0.000000\n")
    told = {CLOCK_VARIABLE: str(clock), PRELOAD_VARIABLE: "/no/such/library.so"}
    assert said(clock, told) == "0 3600 -75 True True /no/such/library.so"


def test_without_one_the_time_is_the_machines(tmp_path: Path) -> None:
    assert said(tmp_path / "clock", {}) == "0 0 0 True True None"
