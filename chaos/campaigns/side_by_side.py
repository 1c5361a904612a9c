"""Several labs at a time, each a process (``lab_worker``) that runs what it is given.

Timing is not blurred by that: each run says how many labs there were (``RunDone.labs``), its
instruments are checked as ever, and one that they call into doubt is run once more with nothing
beside it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from chaos.campaigns.cases import BLOCK
from chaos.campaigns.lab_worker import END, WorkerReply
from chaos.decode import decode
from chaos.errors import CampaignError

MODULE = "chaos.campaigns.lab_worker"
CORES_A_LAB = 2
"""What one lab has when a campaign has one: its figures were taken so."""
END_TIMEOUT_S = 60.0
"""For a worker that is told to end: its lab heals first."""


def labs_for(cores: int | None) -> int:
    """How many labs a machine with so many cores takes."""
    return max(1, (cores or 1) // CORES_A_LAB)


def next_run(done: Collection[int], under_way: Collection[int], last: int | None) -> int:
    """The number of the run that a worker is given. Pure.

    The next one of its block, so that it can keep its lab; else the first of a block that nobody is
    at; else the first that is left.

    Args:
        done: the runs that have ended.
        under_way: those of the other workers.
        last: the worker's own last run; None: it has had none.
    """
    taken = {*done, *under_way}
    busy = {(n - 1) // BLOCK for n in under_way}
    left = [n for n in range(1, max(taken, default=0) + BLOCK * (len(busy) + 2)) if n not in taken]
    own = [n for n in left if last is not None and (n - 1) // BLOCK == (last - 1) // BLOCK]
    free = [n for n in left if (n - 1) // BLOCK not in busy]
    return (own or free or left)[0]


class LabProcess:
    """A worker, seen from the campaign."""

    def __init__(self, folder: Path, name: str, pg_bindir: Path | None, labs: int) -> None:
        requests, self._requests = os.pipe()
        self.replies, replies = os.pipe()
        self.run: int | None = None
        """The one that it is at."""
        self.last: int | None = None
        command = [sys.executable, "-m", MODULE, str(folder.resolve()), name, "--labs", str(labs)]
        command += [] if pg_bindir is None else ["--pg-bindir", str(pg_bindir)]
        command += ["--requests", str(requests), "--replies", str(replies)]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=(requests, replies),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the campaign alone, which passes it on
            )
        finally:
            os.close(requests)
            os.close(replies)

    def give(self, n: int) -> None:
        """Have it run this one."""
        self.run = self.last = n
        with suppress(BrokenPipeError):
            os.write(self._requests, f"{n}\n".encode())

    def take(self) -> WorkerReply:
        """Its reply to what it was given; of a worker that has died, an error."""
        assert self.run is not None
        n, self.run = self.run, None
        line = b""
        while not line.endswith(b"\n") and (chunk := os.read(self.replies, 65536)):
            line += chunk
        if line.endswith(b"\n"):
            return decode(WorkerReply, json.loads(line))
        code = self._process.wait()
        return WorkerReply(n=n, error=f"the process of its lab ended with code {code}")

    def stop(self) -> None:
        """Have the drill under way stop and heal; again: at once."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End it with its lab. Idempotent."""
        with suppress(OSError):
            os.write(self._requests, f"{END}\n".encode())
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for descriptor in (self._requests, self.replies):
            with suppress(OSError):
                os.close(descriptor)


class SideBySide:
    """Gives runs to the workers of a campaign, and hands their lines to it.

    Args:
        workers: at least one.
        say: is told of runs that are made once more.
    """

    def __init__(self, workers: Sequence[LabProcess], say: Callable[[str], object]) -> None:
        self._workers = workers
        self._say = say
        self._again: list[tuple[LabProcess, int]] = []
        self._alone: LabProcess | None = None
        """The worker that has the machine for itself while it is at its run."""

    @property
    def is_idle(self) -> bool:
        """Nothing is under way, and nothing waits to be run once more."""
        return not self._again and not self._busy

    @property
    def under_way(self) -> int:
        """How many runs have begun that have no line yet."""
        return len(self._busy) + len(self._again)

    @property
    def _busy(self) -> list[LabProcess]:
        return [one for one in self._workers if one.run is not None]

    def give(self, done: Collection[int], most: int) -> None:
        """Begin runs: up to ``most``, on workers that have nothing to do.

        One that is to be run once more waits until nothing is under way, and nothing is begun
        before it has ended.
        """
        if self._alone is not None and self._alone.run is not None:
            return
        if self._again:
            if not self._busy:
                self._alone, n = self._again.pop(0)
                self._alone.give(n)
            return
        for worker in self._workers:
            if worker.run is None and most > 0:
                under_way = [one.run for one in self._busy if one.run is not None]
                worker.give(next_run(done, under_way, worker.last))
                most -= 1

    def take(self) -> list[WorkerReply]:
        """Wait until a run has ended: the replies with a line, or of runs that were stopped.

        Raises:
            CampaignError: a run could not be made; says why.
        """
        by_number = {one.replies: one for one in self._busy}
        ready, _, _ = select.select(list(by_number), [], [])
        replies = []
        for number in ready:
            worker = by_number[number]
            reply = worker.take()
            if reply.error:
                raise CampaignError(f"run {reply.n}: {reply.error}")
            if reply.is_hindered:
                self._say(
                    f"run {reply.n}: UNKNOWN, since the machine was too busy; once more alone"
                )
                self._again.append((worker, reply.n))
            else:
                replies.append(reply)
        return replies

    def stop(self) -> None:
        """Have every drill under way stop."""
        self._again.clear()
        for worker in self._busy:
            worker.stop()

    def end(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()
