"""Removes clusters that were kept to be used again: ``python -m chaos.cli.forget [NAME ...]``.

Without a name it removes all of them, also one that a running test is using; ``--list`` only lists
them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from chaos.gameday.docker_handle import engine_words
from chaos.gameday.errors import OptionError, StartError
from chaos.judge.exit_codes import COULD_NOT_RUN
from cluster.substrates.docker.leftovers import kept_runs, remove_run


def main(arguments: Sequence[str] | None = None) -> int:
    """Remove them, and say which; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m chaos.cli.forget",
        description="Remove clusters that were kept to be used again, all or by name.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these")
    parser.add_argument("--list", action="store_true", help="say which there are, remove none")
    asked = parser.parse_args(arguments)
    try:
        with engine_words():
            names = _choose(asked.names, kept_runs())
            for name in names:
                if asked.list:
                    print(name)
                else:
                    remove_run(name)
                    print(f"removed {name}")
    except (OptionError, StartError) as error:
        print(error, file=sys.stderr)
        return COULD_NOT_RUN
    return 0


def _choose(names: Sequence[str], kept: Sequence[str]) -> Sequence[str]:
    """Those that were named, else all.

    Raises:
        OptionError: one is not kept.
    """
    if unknown := sorted(set(names) - set(kept)):
        words = f"no cluster {', '.join(unknown)} is kept; there are"
        raise OptionError(f"{words} {', '.join(kept) or 'none'}")
    return names or kept


if __name__ == "__main__":
    sys.exit(main())
