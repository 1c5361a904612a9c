"""Links that flap: a task for each pulls the cable and plugs it in, again and again.

The task belongs to the substrate. It ends with ``end``, which leaves the cable in, and with
``cancel`` or the substrate's task group, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import anyio.abc

Move = Callable[[str], Awaitable[None]]
"""Pulls the cable of a host, or plugs it in."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Flap:
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: anyio.Event = field(default_factory=anyio.Event)
    times: int = 0


class Flaps:
    """Of one substrate.

    Args:
        pull: pulls the cable of a host.
        plug_in: plugs it in; idempotent.
    """

    def __init__(self, pull: Move, plug_in: Move) -> None:
        self._pull = pull
        self._plug_in = plug_in
        self._running: dict[str, _Flap] = {}

    async def begin(
        self, tasks: anyio.abc.TaskGroup, host: str, *, down_s: float, up_s: float
    ) -> None:
        """Let the link of a host flap; returns once the cable is out for the first time.

        Args:
            tasks: the substrate's: a move that fails ends it with its error.
            host: whose link. One that flaps already goes on with these times.
            down_s: how long the cable is out, each time.
            up_s: how long it is in.
        """
        await self.end(host)
        flap = self._running[host] = _Flap()
        await tasks.start(self._run, host, flap, down_s, up_s)

    async def _run(
        self,
        host: str,
        flap: _Flap,
        down_s: float,
        up_s: float,
        *,
        task_status: anyio.abc.TaskStatus[None],
    ) -> None:
        try:
            with flap.scope:
                while True:
                    await self._pull(host)
                    flap.times += 1
                    if flap.times == 1:
                        task_status.started()
                    await anyio.sleep(down_s)
                    await self._plug_in(host)
                    await anyio.sleep(up_s)
        finally:
            flap.over.set()

    async def end(self, host: str) -> int:
        """End it, with the cable in; how often it was out. 0: this link does not flap."""
        flap = self._running.get(host)
        if flap is None:
            return 0
        with anyio.CancelScope(shield=True):
            flap.scope.cancel()
            await flap.over.wait()
            await self._plug_in(host)
        del self._running[host]
        return flap.times

    def cancel(self) -> None:
        """End every task: the hosts themselves end now, so that no cable matters any more."""
        for flap in self._running.values():
            flap.scope.cancel()
