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

import gc
import json
import logging
import os
import signal
import stat
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from chaos.workloads.history import (
    HistoryFile,
    end_line,
    failed_line,
    info_line,
    invoke_line,
    ok_line,
    stall_line,
)
from chaos.workloads.ledger import Entry, add_entry
from chaos.workloads.pacing import Pacer, pacers
from replication import Credentials, Member, NotApplied, Storage, StorageError, Transaction

EXIT_CONFIG = 2

STALL_S_MIN = 0.1
"""Below this the latencies are still good to a tenth of a second, which is what a report shows."""

STALL_CHECK_S = 0.05

LIVE_INTERVAL_S = 1.0

DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """What the drill sends as one line of JSON; ``password`` is in no repr."""

    site: str
    members: tuple[Member, ...]
    user: str
    password: str = field(repr=False)
    dbname: str
    rate_per_s: float
    workers: int
    seed: int
    deadline_s: float
    history_path: Path
    drain_s: float = DRAIN_S


def parse_config(text: str) -> LoadConfig:
    """The config from its JSON.

    Raises:
        ValueError: not JSON, a key too many or too few, or a number out of range.
    """
    try:
        document = json.loads(text)
        members = tuple(Member(**member) for member in document.pop("members"))
        path = Path(document.pop("history_path"))
        config = LoadConfig(members=members, history_path=path, **document)
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"the load's config is not as it should be: {error}") from error
    if config.rate_per_s <= 0 or config.workers < 1 or config.deadline_s <= 0:
        raise ValueError("rate_per_s and deadline_s must be above 0, workers at least 1")
    return config


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
    """One site's workers, their history and their live view."""

    def __init__(self, config: LoadConfig, history: HistoryFile, live: LiveView) -> None:
        self._config = config
        self._history = history
        self._live = live
        self._open: dict[str, None] = {}
        self._ended: Counter[str] = Counter()
        self._operations = 0
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
            helpers.start_soon(self._watch_signals)
            helpers.start_soon(self._watch_loop)
            async with Storage(config.members, credentials) as storage:
                helpers.start_soon(self._show, storage)
                await self._work(storage)
            helpers.cancel_scope.cancel()
        now_s = time.monotonic()
        for unit_id in self._open:
            reason = "still open when the load was stopped"
            self._history.write(info_line(unit_id, reason=reason, t_s=now_s))
        self._history.write(end_line(t_s=time.monotonic(), operations=self._operations))

    async def _work(self, storage: Storage) -> None:
        config = self._config
        schedules = pacers(
            start_s=time.monotonic(),
            rate_per_s=config.rate_per_s,
            workers=config.workers,
            seed=config.seed,
            site=config.site,
        )
        async with anyio.create_task_group() as group:
            for worker, pacer in enumerate(schedules):
                group.start_soon(self._worker, storage, worker, pacer)
            await self._stopping.wait()
            # The workers leave by themselves once their operation has ended.
            group.cancel_scope.deadline = anyio.current_time() + config.drain_s

    async def _worker(self, storage: Storage, worker: int, pacer: Pacer) -> None:
        n = 0
        while True:
            with anyio.move_on_after(pacer.delay_s(time.monotonic())):
                await self._stopping.wait()
            if self._stopping.is_set():
                return
            await self._operation(storage, worker, n)
            n += 1

    async def _operation(self, storage: Storage, worker: int, n: int) -> None:
        site = self._config.site
        entry = Entry(id=f"{site}-{worker}-{n}", site=site, worker=worker, n=n)

        async def unit_of_work(transaction: Transaction) -> None:
            await add_entry(transaction, entry)

        self._operations += 1
        self._open[entry.id] = None
        self._history.write(invoke_line(entry.id, worker=worker, t_s=time.monotonic()))
        try:
            applied = await storage.run(
                unit_of_work, unit_id=entry.id, deadline_s=self._config.deadline_s
            )
        except StorageError as error:
            outcome = "fail" if isinstance(error, NotApplied) else "info"
            line = failed_line(entry.id, error, outcome=outcome, t_s=time.monotonic())
        else:
            outcome = "ok"
            line = ok_line(entry.id, applied, t_s=time.monotonic())
        self._history.write(line)
        self._ended[outcome] += 1
        del self._open[entry.id]

    async def _watch_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
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
            ended, self._ended = self._ended, Counter()
            self._live.write(
                {
                    "t_s": time.monotonic(),
                    "ok": ended["ok"],
                    "fail": ended["fail"],
                    "info": ended["info"],
                    "node": storage.primary,
                    "open": len(self._open),
                }
            )


def main() -> int:
    """Read the config, load, return the exit code."""
    # Connections that were cut off on purpose are this process's daily bread; psycopg would
    # write a warning for each.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        config = parse_config(sys.stdin.readline())
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    # What has been imported lives as long as the process: the collector need not walk it again,
    # each walk being a stall of some milliseconds.
    gc.collect()
    gc.freeze()
    with HistoryFile(config.history_path) as history:
        anyio.run(Load(config, history, LiveView(sys.stdout.fileno())).run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
