"""Tasks that last until they are cancelled, and begin again if they end in another way.

A task group in which one task is cancelled, by nobody of ours (asyncio, or a library that swallowed
the wrong cancellation), ends without an error and takes the other tasks along. For what asks the
members who the primary is, that would be an application that never finds it again, and no word of
it. In one drill a site's questions had stopped; why was not found, and this fits it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

_log = logging.getLogger("replication")

PAUSE_S = 0.05
"""Before it begins again, so that one which always ends at once does not spin."""


async def lasting(run: Callable[[], Awaitable[None]], what: str) -> None:
    """Run ``run`` until cancelled, again whenever it has returned; each time is logged.

    Args:
        run: lasts until it is cancelled. What it raises ends this too.
        what: it does, for the log.
    """
    while True:
        await run()
        _log.error("%s ended though nobody ended them: they begin again", what)
        await anyio.sleep(PAUSE_S)
