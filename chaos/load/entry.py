"""What the processes of a workload have in common: a config on standard input, an exit code."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable
from typing import TypeVar

EXIT_CONFIG = 2

Config = TypeVar("Config")


def run_process(parse: Callable[[str], Config], run: Callable[[Config], None]) -> int:
    """Read the config, run, return the exit code: 0, or 2 where the config was no good.

    Args:
        parse: from a line of JSON; raises ValueError where it is no good.
        run: all that the process is for.
    """
    # Such a process often has connections that were cut off on purpose; psycopg would write a
    # warning for each.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        config = parse(sys.stdin.readline())
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    # What has been imported lives as long as the process: the collector need not walk it again,
    # each walk being a stall of some milliseconds.
    gc.collect()
    gc.freeze()
    run(config)
    return 0
