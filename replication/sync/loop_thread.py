"""A thread with an event loop in which a ``Storage`` lives.

Nothing here has a finalizer that waits for the thread: a forked child does not have the thread, and
silently drops what it left behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio
from anyio.from_thread import BlockingPortal

from replication.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopThread:
    """A running loop thread; use ``storage`` only in it."""

    thread: threading.Thread
    portal: BlockingPortal
    loop: asyncio.AbstractEventLoop
    storage: Storage

    def stop(self) -> None:
        """Wait for running calls, close the storage, end the thread."""
        self.portal.call(self.portal.stop)
        self.thread.join()


def start_loop_thread(make: Callable[[], AbstractAsyncContextManager[Storage]]) -> LoopThread:
    """Start one, and enter the storage that ``make`` makes in it.

    Raises:
        Exception: what making or entering it raises.
    """
    entered: Future[tuple[BlockingPortal, asyncio.AbstractEventLoop, Storage]] = Future()

    async def live() -> None:
        async with make() as storage, BlockingPortal() as portal:
            entered.set_result((portal, asyncio.get_running_loop(), storage))
            await portal.sleep_until_stopped()

    def run() -> None:
        try:
            anyio.run(live)
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    # A daemon, so that a program that never closes it can end.
    thread = threading.Thread(target=run, name="bascule", daemon=True)
    thread.start()
    portal, loop, storage = entered.result()
    return LoopThread(thread=thread, portal=portal, loop=loop, storage=storage)
