"""The load process of one site: ``python -m chaos.workloads.load``, its config on stdin.

Writes ``history-<site>.jsonl`` as it goes, and once a second a line for the live view to stdout::

    {"t_s": 1240.0, "ok": 98, "fail": 0, "info": 0, "node": "db-orsay", "open": 1}

``ok``, ``fail`` and ``info`` are what ended since the line before; ``node`` is the member it holds
for the primary (null while there is none); ``open`` is how many operations wait for their end.

SIGTERM or SIGINT: nothing new is begun, what is open gets ``drain_s`` to end, what is still open
then is written as ``info``, the ``end`` line closes the history, exit 0. Exit 2: the config was
no good.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from contextlib import suppress

import anyio
from anyio.abc import TaskStatus

from chaos.workloads.base import SiteLoad
from chaos.workloads.config import LoadConfig, parse_config
from chaos.workloads.history import HistoryFile, stall_line
from chaos.workloads.journal import Journal
from chaos.workloads.process import run_process
from chaos.workloads.registry import WORKLOADS
from replication import Credentials, Storage

STALL_S_MIN = 0.1
"""Below this the latencies are still good to a tenth of a second, which is what a report shows."""

STALL_CHECK_S = 0.05

LIVE_INTERVAL_S = 1.0


class LiveView:
    """Lines to stdout that never hold up the load: when nobody reads them, they are dropped."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.set_blocking(fd, False)

    def write(self, line: dict[str, str | float | int | None]) -> None:
        """Write one line, or drop it. Short lines go into a pipe whole or not at all."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._fd, f"{json.dumps(line)}\n".encode())


class Load:
    """One site's workload, its history and its live view."""

    def __init__(self, config: LoadConfig, history: HistoryFile, live: LiveView) -> None:
        self._config = config
        self._history = history
        self._journal = Journal(history)
        self._live = live
        self._stopping = anyio.Event()

    async def run(self) -> None:
        """Load until a signal comes, then drain and close the history."""
        config = self._config
        credentials = Credentials(
            user=config.user,
            password=config.password,
            dbname=config.dbname,
            application_name=f"bascule-load-{config.site}",
        )
        async with anyio.create_task_group() as helpers:
            await helpers.start(self._watch_signals)
            helpers.start_soon(self._watch_loop)
            async with Storage(config.members, credentials) as storage:
                helpers.start_soon(self._show, storage)
                await self._work(storage)
            helpers.cancel_scope.cancel()
        self._journal.close()

    async def _work(self, storage: Storage) -> None:
        """Run the workload; once it is told to stop, what is open gets ``drain_s`` to end."""
        workload = WORKLOADS[self._config.workload.kind]
        load = SiteLoad(
            config=self._config,
            storage=storage,
            journal=self._journal,
            stopping=self._stopping,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(workload.run, load)
            await self._stopping.wait()
            group.cancel_scope.deadline = anyio.current_time() + self._config.drain_s

    async def _watch_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._stopping.set()

    async def _watch_loop(self) -> None:
        """Write down when the event loop did not run: latencies around then are not to be
        believed."""
        while True:
            before_s = time.monotonic()
            await anyio.sleep(STALL_CHECK_S)
            now_s = time.monotonic()
            stall_s = now_s - before_s - STALL_CHECK_S
            if stall_s > STALL_S_MIN:
                self._history.write(stall_line(t_s=now_s, stall_s=round(stall_s, 4)))

    async def _show(self, storage: Storage) -> None:
        while True:
            await anyio.sleep(LIVE_INTERVAL_S)
            ended = self._journal.take_ended()
            self._live.write(
                {
                    "t_s": time.monotonic(),
                    "ok": ended["ok"],
                    "fail": ended["fail"],
                    "info": ended["info"],
                    "node": storage.primary,
                    "open": self._journal.open,
                }
            )


def run_load(config: LoadConfig) -> None:
    """Load one site until a signal comes."""
    with HistoryFile(config.history_path) as history:
        anyio.run(Load(config, history, LiveView(sys.stdout.fileno())).run)


if __name__ == "__main__":
    sys.exit(run_process(parse_config, run_load))
