"""Python processes on a client's host that are started ahead and fed later.

Python takes a second to load what a load or a final read needs. A process that is started ahead
loads it while nobody waits, and then waits at its standard input for what it is to do.
"""

from __future__ import annotations

from contextlib import suppress

from cluster.errors import ClusterError
from cluster.substrates.base import Feedable, Process, Substrate


async def start_ahead(substrate: Substrate, host: str, unit: str, module: str) -> bool:
    """Start it, where the substrate can feed a process later; whether it waits now."""
    if not isinstance(substrate, Feedable):
        return False
    argv = (substrate.python, "-m", module)
    await substrate.start_unit(host, Process(name=unit, argv=argv, is_fed=True))
    return True


async def start_with(  # noqa: PLR0913 (what is started, where, and with what)
    substrate: Substrate, host: str, unit: str, module: str, line: str, *, is_ahead: bool
) -> None:
    """Have it do what a line says: the one that was started ahead, or a new one where none was, or
    where that one has ended."""
    if is_ahead and isinstance(substrate, Feedable):
        with suppress(ClusterError):
            await substrate.feed_unit(host, unit, line)
            return
    argv = (substrate.python, "-m", module)
    await substrate.start_unit(host, Process(name=unit, argv=argv, stdin=line))
