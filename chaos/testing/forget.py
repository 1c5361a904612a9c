"""Removes clusters that were kept to be used again: ``python -m chaos.testing.forget [NAME ...]``.

Without a name all of them, also one that a running test is using; ``--list`` only says which there
are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from chaos.exit_codes import COULD_NOT_RUN
from chaos.testing import docker_engine
from chaos.testing.docker_leftovers import find_kept, sweep
from chaos.testing.errors import OptionError, StartError


def main(arguments: Sequence[str] | None = None) -> int:
    """Remove them, and say which; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m chaos.testing.forget",
        description="Remove clusters that were kept to be used again, all or by name.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these")
    parser.add_argument("--list", action="store_true", help="say which there are, remove none")
    asked = parser.parse_args(arguments)
    try:
        client = docker_engine.connect()
        try:
            with docker_engine.docker_words():
                kept = find_kept(client)
                names = asked.names or kept
                if unknown := sorted(set(names) - set(kept)):
                    words = f"no cluster {', '.join(unknown)} is kept; there are"
                    raise OptionError(f"{words} {', '.join(kept) or 'none'}")
                if asked.list:
                    for name in names:
                        print(name)
                else:
                    sweep(client, kept=names, done=lambda cluster: print(f"removed {cluster}"))
        finally:
            client.client.close()
    except (OptionError, StartError) as error:
        print(error, file=sys.stderr)
        return COULD_NOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())
