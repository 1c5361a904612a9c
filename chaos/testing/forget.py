"""Removes the clusters that were kept to be used again: ``python -m chaos.testing.forget``.

One that a running test is using is removed, too.
"""

from __future__ import annotations

import sys

from chaos.exit_codes import COULD_NOT_RUN
from chaos.testing import docker_engine
from chaos.testing.docker_leftovers import sweep
from chaos.testing.errors import StartError


def main() -> int:
    """Remove them, and say which; the exit code."""
    try:
        client = docker_engine.connect()
        with docker_engine.docker_words():
            sweep(client, kept=True, done=lambda cluster: print(f"removed {cluster}"))
            client.client.close()
    except StartError as error:
        print(error, file=sys.stderr)
        return COULD_NOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())
