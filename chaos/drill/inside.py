"""The part of a drill that has the sites: ``python -m chaos.drill.inside RUN [options]``.

Started by ``chaos.drill.outside``: as the only command of the lab's sealed namespaces, or beside it
where the sites are containers. It reads what is asked from the run folder, and leaves the evidence
there.

Exit codes: 0 the drill ran to its end, 3 it could not, 130 it was stopped.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from chaos.drill.board import Board
from chaos.drill.director import Director
from chaos.drill.display import Display, make_display
from chaos.drill.recorder import Recorder
from chaos.errors import ChaosError, leaves
from chaos.evidence.folder import EventLog, read_run_json
from chaos.exit_codes import COULD_NOT_RUN, INTERRUPTED
from cluster.binaries import find_binaries
from cluster.cluster import PatroniCluster
from cluster.compose.beside import watch_lifeline
from cluster.compose.look import how_to_look_at_containers
from cluster.compose.raiser import ComposeRaiser
from cluster.compose.sites import ComposeSites
from cluster.errors import ClusterError
from cluster.lab.look import how_to_look, leave_passwords
from cluster.lab.raiser import LabRaiser
from cluster.raiser import Raiser
from cluster.topology.load import load_topology

if TYPE_CHECKING:
    from chaos.drill.show import Show


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Our own caller's words: no help for people is needed here."""
    parser = argparse.ArgumentParser(prog="chaos.drill.inside")
    parser.add_argument("run", type=Path)
    parser.add_argument("--pg-bindir", type=Path)
    parser.add_argument("--compose", metavar="RUN_ID")
    parser.add_argument("--lifeline", type=int, metavar="FD")
    parser.add_argument("--display", choices=("live", "lines", "none"), default="lines")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--metrics", type=int, action="append", metavar="FD")
    return parser.parse_args(arguments)


async def run_inside(options: argparse.Namespace) -> int:
    """Run the drill of a run folder; the exit code."""
    folder: Path = options.run
    info = read_run_json(folder)
    topology = load_topology(folder / "topology.toml")
    board = Board(
        scenario=info.scenario.name, title=info.scenario.title, started_s=info.started_t_s
    )
    display = make_display(options.display, board)
    with EventLog(folder, time.monotonic) as events:
        recorder = Recorder(events, board)
        director = Director(info, topology, make_raiser(options), folder, recorder)
        inside = Inside(director, recorder, display, folder=folder, keep=options.keep)
        if options.metrics is not None:
            inside.show = make_show(recorder, folder, options.metrics)
        return await inside.run(options.lifeline)


def make_show(recorder: Recorder, folder: Path, listeners: list[int]) -> Show:
    """What answers Prometheus, at listeners that this process inherited."""
    # Only here: what the exporter needs takes long to import, and most drills do without.
    from chaos.drill.show import Show  # noqa: PLC0415

    sockets = [socket.socket(fileno=number) for number in listeners]
    for one in sockets:
        one.setblocking(False)
        one.set_inheritable(False)  # it ends with this process
    return Show(recorder, folder, sockets)


def make_raiser(options: argparse.Namespace) -> Raiser:
    """What raises the sites of this drill."""
    if options.compose is not None:
        return ComposeRaiser(options.run, options.compose)
    return LabRaiser(find_binaries(options.pg_bindir), options.run)


class Inside:
    """A director, its display, and the signals that stop them."""

    def __init__(
        self,
        director: Director,
        recorder: Recorder,
        display: Display,
        *,
        folder: Path,
        keep: bool,
    ) -> None:
        self._director = director
        self._recorder = recorder
        self._display = display
        self._folder = folder
        self._keep = keep
        self.show: Show | None = None
        """What answers Prometheus, if it is to."""
        self._looked = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, lifeline: int | None) -> int:
        """Run to the end, an error or a signal; the exit code.

        Args:
            lifeline: a pipe whose other end the command outside holds, where only that tells its
                death.
        """
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._watch_signals)  # nobody may see us begin and we not hear them
            if lifeline is not None:
                tasks.start_soon(watch_lifeline, lifeline, self._stop)
            tasks.start_soon(self._display.run)
            if self.show is not None:
                tasks.start_soon(self.show.serve)
            try:
                code = await self._direct()
            finally:
                tasks.cancel_scope.cancel()
        self._display.close()
        return code

    async def _direct(self) -> int:
        try:
            with self._scope:
                await self._director.run(
                    beside=None if self.show is None else self.show.watch,
                    afterwards=self._hold if self._keep else None,
                )
                return 0
        except* (ChaosError, ClusterError, OSError) as errors:
            # Each reason once: a full disk is met by everybody who writes.
            self._interrupted("; ".join(dict.fromkeys(str(error) for error in leaves(errors))))
        else:
            self._interrupted("")
        return INTERRUPTED if self._scope.cancel_called else COULD_NOT_RUN

    def _interrupted(self, error: str) -> None:
        """Write down why the drill did not come to its end; what went wrong while it was being
        stopped is not the reason."""
        if self._scope.cancel_called:
            reason = "stopped by a signal" + (f" (then: {error})" if error else "")
        else:
            reason = error
            self._recorder.say(f"could not run: {reason}", loud=True)
        with suppress(OSError):  # it may be the disk that is full
            self._recorder.event("interrupted", reason=reason)

    async def _hold(self, cluster: PatroniCluster) -> None:
        """Keep the sites up for a look, until a signal."""
        # Only here: the report and its templates take longer to import than the lab to raise a
        # host, and no other drill needs them in this process.
        from chaos.drill.judge import judge_folder  # noqa: PLC0415

        self._recorder.say(judge_folder(self._folder).sentence, loud=True)
        if isinstance(cluster.substrate, ComposeSites):
            lines = how_to_look_at_containers(cluster.substrate)
        else:
            leave_passwords(cluster.credentials)
            lines = how_to_look(self._folder, cluster.substrate.topology)
        for line in lines:
            self._recorder.say(line, loud=True)
        await self._looked.wait()

    async def _watch_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._stop()

    def _stop(self) -> None:
        if self._keep and self._recorder.board.phase == "done":
            self._looked.set()
        else:
            self._recorder.say("stopping: healing and tearing down", loud=True)
            self._scope.cancel()


def main() -> int:
    """Run; nothing but an exit code goes out."""
    with suppress(KeyboardInterrupt):
        return anyio.run(run_inside, parse_arguments(sys.argv[1:]))
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
