"""The load process of one site: ``python -m chaos.load.worker``, its config on stdin.

Writes ``history-<site>.jsonl`` as it goes; the display of a running drill follows that file. Beside
the workload it reads (``reads``), into ``reads-<site>.jsonl``.

SIGTERM or SIGINT: nothing new is begun, what is open gets ``drain_s`` to end, what is still open
then is written as ``info``, the ``end`` line closes the history, exit 0. Exit 2: the config was
invalid.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from chaos.evidence.history import HistoryFile, Stalled
from chaos.evidence.reads import ReadsFile
from chaos.load.direct import DirectWriter
from chaos.load.entry import run_process
from chaos.load.plain_psycopg import PsycopgClient
from chaos.load.reads import MarkReader
from chaos.workloads.base import SiteLoad, load_workload
from chaos.workloads.client import LoadClient
from chaos.workloads.config import LoadConfig
from chaos.workloads.journal import Journal
from replication import Credentials, Storage, StorageSettings

STALL_S_MIN = 0.1
"""Below this the latencies are still good to a tenth of a second, which is what a report shows."""

STALL_CHECK_S = 0.05


class Load:
    """One site's workload and its history; ``reads`` takes what is read beside it, if anything, and
    ``direct`` what is written straight to the members beside a load through a proxy."""

    def __init__(
        self,
        config: LoadConfig,
        history: HistoryFile,
        reads: ReadsFile | None = None,
        direct: HistoryFile | None = None,
    ) -> None:
        self._config = config
        self._history = history
        self._reads = reads
        self._direct = direct
        self._journal = Journal(history)
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
            if config.client == "psycopg":
                await self._work_plainly(credentials)
            else:
                async with self._storage(credentials) as storage:
                    await self._work(storage)
            helpers.cancel_scope.cancel()
        self._journal.close()
        if self._reads is not None:
            self._reads.close(time.monotonic())

    def _storage(self, credentials: Credentials) -> Storage:
        settings = StorageSettings(prefer_site=self._config.site)
        return Storage(self._config.members, credentials, settings=settings)

    async def _work_plainly(self, credentials: Credentials) -> None:
        """Run the workload without the storage layer, for comparison."""
        client = PsycopgClient(self._config)
        try:
            if self._direct is None:
                await self._work(client)
            else:
                async with self._storage(credentials) as storage:
                    await self._work(client, storage, self._direct)
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _work(
        self,
        storage: LoadClient,
        straight: Storage | None = None,
        direct: HistoryFile | None = None,
    ) -> None:
        """Run the workload; once it is told to stop, what is open gets ``drain_s`` to end.

        Args:
            storage: what the workload speaks to.
            straight: writes straight to the members beside it.
            direct: takes how these writes end.
        """
        writer = None
        workload = load_workload(self._config.workload)
        load = SiteLoad(
            config=self._config,
            storage=storage,
            journal=self._journal,
            stopping=self._stopping,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(workload.run, load)
            if self._reads is not None:
                group.start_soon(MarkReader(load, self._reads).run)
            if straight is not None and direct is not None:
                writer = DirectWriter(load, straight, direct)
                group.start_soon(writer.run)
            await self._stopping.wait()
            group.cancel_scope.deadline = anyio.current_time() + self._config.drain_s
        if writer is not None:
            writer.close()

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
                self._history.write(Stalled(t_s=now_s, stall_s=round(stall_s, 4)))


def run_load(config: LoadConfig) -> None:
    """Load one site until a signal comes."""
    with ExitStack() as files:
        history = files.enter_context(HistoryFile(Path(config.history_path)))
        reads = None
        if config.reads_path is not None:
            reads = files.enter_context(ReadsFile(Path(config.reads_path)))
        direct = None
        if config.direct_path is not None:
            direct = files.enter_context(HistoryFile(Path(config.direct_path)))
        anyio.run(Load(config, history, reads, direct).run)


if __name__ == "__main__":
    sys.exit(run_process(LoadConfig.from_line, run_load))
