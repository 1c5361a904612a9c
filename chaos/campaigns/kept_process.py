"""The part of a kept lab that has the sites: ``python -m chaos.campaigns.kept_process LAB``.

Raises one cluster, and runs one drill after another on it as they are asked for: a line with a run
folder comes in, a line of JSON goes out when its drill is over (``KeptReply``). Ends when nothing
comes in any more, when the cluster is no longer as it was at its birth, or by SIGTERM: then the
drill under way heals first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import psycopg
from anyio.abc import TaskStatus

from chaos.campaigns.fingerprint import Fingerprint, make_fresh, take_fingerprint
from chaos.drill.director import Director
from chaos.drill.loads import start_loads_ahead
from chaos.drill.recorder import Recorder
from chaos.errors import ChaosError, leaves
from chaos.evidence.events import EventLog, Interrupted
from chaos.evidence.folder import read_run_json
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED
from chaos.live.board import Board
from cluster.boot import BootWatch
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from cluster.substrates.base import ProcessExit
from cluster.substrates.raiser import Raiser
from cluster.substrates.registry import DEFAULT, SUBSTRATES
from cluster.topology.load import load_topology
from cluster.topology.model import Topology
from replication import StorageError

LOGS = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReply:
    """What comes out when a drill is over."""

    code: int
    """As that of ``chaos.drill.process``."""
    unfit: str
    """Why no other run may follow in this lab; empty: one may."""


class _KeptSites:
    """The sites, and the drill that is under way in them."""

    def __init__(self, folder: Path, raiser: Raiser, topology: Topology) -> None:
        self._folder = folder
        self._raiser = raiser
        self._topology = topology
        self._recorder: Recorder | None = None
        self._boot = BootWatch(folder / LOGS)
        self._scope = anyio.CancelScope()
        self._died_between = ""
        self._are_loads_ahead = False

    async def run(self, requests: int, replies: int) -> int:
        """Raise the cluster and serve until nothing is asked any more; the exit code."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._watch_signals)
            with self._scope:
                await self._serve(requests, replies)
            tasks.cancel_scope.cancel()
        return INTERRUPTED if self._scope.cancel_called else 0

    async def _serve(self, requests: int, replies: int) -> None:
        sites = self._raiser.sites(self._topology, on_exit=self._exited)
        async with sites as substrate:
            raising = self._raiser.cluster(substrate, lambda step: None)
            cluster = await self._boot.boot(raising)
            try:
                birth = await take_fingerprint(cluster)
                async for folder in _lines(requests):
                    code = await self._drill(cluster, Path(folder))
                    self._are_loads_ahead = False
                    with suppress(ClusterError):  # a host that is down is told below
                        # Those of the next run, while this one is judged.
                        self._are_loads_ahead = not code and await start_loads_ahead(cluster)
                    unfit = await self._why_unfit(cluster, birth, code)
                    line = json.dumps(asdict(KeptReply(code=code, unfit=unfit)))
                    os.write(replies, f"{line}\n".encode())
                    if unfit:
                        return
            finally:
                with anyio.CancelScope(shield=True):
                    await cluster.aclose()

    async def _drill(self, cluster: RaisedCluster, folder: Path) -> int:
        info = read_run_json(folder)
        board = Board(
            scenario=info.scenario.name, title=info.scenario.title, started_s=info.started_t_s
        )
        with EventLog(folder) as events:
            self._recorder = recorder = Recorder(events, board)
            director = Director(info, self._topology, self._raiser, folder, recorder)
            reason, code = "", 0
            try:
                await director.run_in(cluster, are_loads_ahead=self._are_loads_ahead)
            except* (ChaosError, ClusterError, OSError) as errors:
                reason = "; ".join(dict.fromkeys(str(error) for error in leaves(errors)))
                code = COULD_NOT_RUN
            finally:
                self._recorder = None
                if self._scope.cancel_called:
                    reason = "stopped by a signal"
                if reason:
                    with suppress(OSError):
                        recorder.event(Interrupted(t_s=time.monotonic(), reason=reason))
        return code

    async def _why_unfit(self, cluster: RaisedCluster, birth: Fingerprint | str, code: int) -> str:
        """Why no other run may follow; empty: one may, and the database is fresh."""
        if code or self._died_between:
            return self._died_between or "the drill broke off"
        now = await take_fingerprint(cluster)
        if isinstance(now, str):
            return now
        if isinstance(birth, str):
            return f"at its birth: {birth}"
        if changed := now.changed_since(birth):
            return changed
        try:
            await make_fresh(cluster)
        except (psycopg.Error, StorageError) as error:
            return f"the tables could not be dropped: {error}"
        return ""

    def _exited(self, unit: ProcessExit) -> None:
        self._boot.unit_exited(unit)
        if self._recorder is not None:
            self._recorder.unit_exit(unit)
        elif not unit.expected:
            self._died_between = f"{unit.unit} on {unit.host} died between two runs"

    async def _watch_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._scope.cancel()


async def _lines(descriptor: int) -> AsyncIterator[str]:
    """The lines that come in, until the other end is closed."""
    kept = b""
    while True:
        await anyio.wait_readable(descriptor)
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return
        *lines, kept = (kept + chunk).split(b"\n")
        for line in lines:
            yield line.decode()


def main() -> int:
    """Raise and serve; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos.campaigns.kept_process")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--option", dest="options", action="append", default=[])
    parser.add_argument("--requests", type=int, required=True, metavar="FD")
    parser.add_argument("--replies", type=int, required=True, metavar="FD")
    options = parser.parse_args()
    folder: Path = options.folder
    (folder / LOGS).mkdir(exist_ok=True)
    raiser = SUBSTRATES[DEFAULT].raiser(folder, options.options)
    topology = load_topology(folder / "topology.toml")

    async def run() -> int:
        return await _KeptSites(folder, raiser, topology).run(options.requests, options.replies)

    try:
        return anyio.run(run)
    except* (ChaosError, ClusterError, OSError) as errors:
        print("; ".join(str(error) for error in leaves(errors)), file=sys.stderr)
    return COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
