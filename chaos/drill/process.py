"""The part of a drill that has the sites: ``python -m chaos.drill.process RUN [options]``.

Started by ``chaos.drill.launch``: as the only command of the lab's sealed namespaces, or beside it
where the sites are containers. It reads its task from the run folder, and writes the evidence
there.

Exit codes: 0 the drill ran to its end, 3 it could not, 130 it was stopped.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.abc import TaskStatus

from chaos.drill.director import Director, Reins
from chaos.drill.recorder import Recorder
from chaos.errors import ChaosError, leaves
from chaos.evidence.events import EventLog, Interrupted, Phase
from chaos.evidence.folder import read_run_json
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED
from chaos.live.board import Board
from chaos.live.terminal import Display, make_display
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from cluster.substrates.docker.beside import watch_lifeline
from cluster.substrates.kind import HowToLook
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import load_topology
from cluster.topology.model import Topology

if TYPE_CHECKING:
    from chaos.drill.prometheus import Show


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Our own caller's words: no help for people is needed here."""
    parser = argparse.ArgumentParser(prog="chaos.drill.process")
    parser.add_argument("run", type=Path)
    parser.add_argument("--substrate", required=True, choices=SUBSTRATES)
    parser.add_argument("--option", dest="options", action="append", default=[])
    parser.add_argument("--lifeline", type=int, metavar="FD")
    parser.add_argument("--display", choices=("live", "lines", "none"), default="lines")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--metrics", type=int, action="append", metavar="FD")
    parser.add_argument("--by-hand", type=Path, metavar="FOLDER")
    return parser.parse_args(arguments)


class Hand(Protocol):
    """Has the fault phase in place of a schedule, and is asked from outside what to do in it."""

    async def serve(self) -> None:
        """Answer what is asked, until cancelled."""
        ...

    async def hold(self, reins: Reins) -> None:
        """Have the cluster; returns when that is over."""
        ...


MakeHand = Callable[[Path, Recorder, Topology, HowToLook], Hand]
"""Makes it from the folder of its lab, and what it works with."""


async def run_inside(options: argparse.Namespace, make_hand: MakeHand | None = None) -> int:
    """Run the drill of a run folder; the exit code."""
    folder: Path = options.run
    info = read_run_json(folder)
    topology = load_topology(folder / "topology.toml")
    board = Board(
        scenario=info.scenario.name, title=info.scenario.title, started_s=info.started_t_s
    )
    display = make_display(options.display, board)
    with EventLog(folder) as events:
        recorder = Recorder(events, board)
        kind = SUBSTRATES[options.substrate]
        raiser = kind.raiser(folder, options.options)
        hand = None
        if make_hand is not None:
            hand = make_hand(options.by_hand, recorder, topology, kind.how_to_look)
        director = Director(
            info, topology, raiser, folder, recorder, hands=None if hand is None else hand.hold
        )
        keep = kind.how_to_look if options.keep else None
        inside = DrillProcess(director, recorder, display, folder=folder, keep=keep)
        if options.metrics is not None:
            inside.show = make_show(recorder, folder, options.metrics)
        inside.hand = hand
        return await inside.run(options.lifeline)


def make_show(recorder: Recorder, folder: Path, listeners: list[int]) -> Show:
    """What answers Prometheus, at listeners that this process inherited."""
    # Only here: what the exporter needs takes long to import, and most drills do without.
    from chaos.drill.prometheus import Show  # noqa: PLC0415

    sockets = [socket.socket(fileno=number) for number in listeners]
    for one in sockets:
        one.setblocking(False)
        one.set_inheritable(False)  # it ends with this process
    return Show(recorder, folder, sockets)


class DrillProcess:
    """A director, its display, and the signals that stop them.

    Args:
        director: directs the drill.
        recorder: writes down what happens.
        display: shows it.
        folder: the run folder.
        keep: keep the sites up after the verdict, and say so with these words; None: end them.
    """

    def __init__(
        self,
        director: Director,
        recorder: Recorder,
        display: Display,
        *,
        folder: Path,
        keep: HowToLook | None,
    ) -> None:
        self._director = director
        self._recorder = recorder
        self._display = display
        self._folder = folder
        self._keep = keep
        self.show: Show | None = None
        """The server for Prometheus, if one was asked for."""
        self.hand: Hand | None = None
        """What is asked by hand, where the drill has no schedule."""
        self._looked = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, lifeline: int | None) -> int:
        """Run to the end, an error or a signal; the exit code.

        Args:
            lifeline: a pipe whose other end the command outside holds, where only that tells its
                death.
        """
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._watch_signals)  # first, so that none is lost
            if lifeline is not None:
                tasks.start_soon(watch_lifeline, lifeline, self._stop)
            tasks.start_soon(self._display.run)
            if self.show is not None:
                tasks.start_soon(self.show.serve)
            if self.hand is not None:
                tasks.start_soon(self.hand.serve)
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
                    afterwards=partial(self._hold, self._keep) if self._keep else None,
                )
                return 0
        except* (ChaosError, ClusterError, OSError) as errors:
            # Each reason once: a full disk stops every writer.
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
            self._recorder.event(Interrupted(t_s=time.monotonic(), reason=reason))

    async def _hold(self, how_to_look: HowToLook, cluster: RaisedCluster) -> None:
        """Keep the sites up for a look, until a signal."""
        # Only here: the report and its templates take longer to import than the lab to raise a
        # host, and no other drill needs them in this process.
        from chaos.judge.folder import judge_folder  # noqa: PLC0415
        from chaos.report import write_reports  # noqa: PLC0415
        from chaos.report.sentence import verdict_sentence  # noqa: PLC0415

        judged = judge_folder(self._folder, is_over=False)
        write_reports(self._folder, judged.run, judged.verdict)
        self._recorder.say(verdict_sentence(judged.run, judged.verdict), loud=True)
        for line in how_to_look(cluster, self._folder):
            self._recorder.say(line, loud=True)
        await self._looked.wait()

    async def _watch_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._stop()

    def _stop(self) -> None:
        if self._keep and self._recorder.board.phase == Phase.DONE:
            self._looked.set()
        else:
            self._recorder.say("stopping: healing and tearing down", loud=True)
            self._scope.cancel()


def main(make_hand: MakeHand | None = None) -> int:
    """Run the drill; returns its exit code."""
    with suppress(KeyboardInterrupt):
        return anyio.run(run_inside, parse_arguments(sys.argv[1:]), make_hand)
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
