"""One of several labs of a campaign: ``python -m chaos.campaigns.lab_worker FOLDER NAME``.

The number of a run comes in as a line, and a line of JSON goes out when it is over
(``WorkerReply``). The campaign alone writes its journal. It ends when it is told so; if the
campaign was killed, everything here ends at once, since that goes on with labs of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import FrameType

from chaos.campaigns.canary import is_canary
from chaos.campaigns.drilling import CaseDrilled, hindered_by_the_machine, line_of
from chaos.campaigns.journal import RunDone, read_journal
from chaos.campaigns.running import LABS, CaseRunner
from chaos.decode import encode
from chaos.errors import ChaosError
from cluster.errors import ClusterError
from cluster.stop_signals import handled

END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReply:
    """What came of one attempt at a run."""

    n: int
    line: RunDone | None = None
    """For the journal; None: it is made once more, alone, or was stopped, or broke off."""
    is_hindered: bool = False
    """UNKNOWN, since the machine was too busy: it is to be run once more with nothing beside it."""
    error: str = ""
    """Why it could not be run."""


class _LabWorker:
    def __init__(self, folder: Path, name: str, pg_bindir: Path | None, labs: int) -> None:
        self._folder = folder
        self._labs = labs
        journal = read_journal(folder)
        self._runner = CaseRunner(journal, folder / LABS / name, pg_bindir=pg_bindir)
        self._attempts: dict[int, list[CaseDrilled]] = {}

    def serve(self, requests: int, replies: int) -> None:
        """Run what is asked for until the end is asked for."""
        asked: SimpleQueue[str] = SimpleQueue()
        Thread(target=_listen, args=(requests, asked), daemon=True).start()
        with handled(self._stop):
            try:
                while (line := asked.get()) != END:
                    reply = json.dumps(encode(self._run(int(line))), ensure_ascii=False)
                    os.write(replies, f"{reply}\n".encode())
            finally:
                self._runner.end()

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._runner.stop(number)

    def _run(self, n: int) -> WorkerReply:
        attempts = self._attempts.setdefault(n, [])
        try:
            drilled = self._runner.attempt(n)
        except (ChaosError, ClusterError, OSError) as error:
            return WorkerReply(n=n, error=str(error))
        if drilled is None:
            return WorkerReply(n=n)
        attempts.append(drilled)
        if len(attempts) == 1 and hindered_by_the_machine(drilled):
            return WorkerReply(n=n, is_hindered=True)
        case = self._runner.case(n)
        # The second attempt had the machine for itself.
        labs = self._labs if len(attempts) == 1 else 1
        line = line_of(case, attempts, self._folder, is_canary=is_canary(n), labs=labs)
        del self._attempts[n]
        return WorkerReply(n=n, line=line)


def _listen(requests: int, asked: SimpleQueue[str]) -> None:
    """Pass on what is asked; where the campaign is gone, be gone too, with the lab."""
    with os.fdopen(requests) as lines:
        for line in lines:
            asked.put(line.strip())
            if line.strip() == END:
                return
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Serve one campaign; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos.campaigns.lab_worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--labs", type=int, required=True)
    parser.add_argument("--pg-bindir", type=Path)
    parser.add_argument("--requests", type=int, required=True, metavar="FD")
    parser.add_argument("--replies", type=int, required=True, metavar="FD")
    asked = parser.parse_args()
    worker = _LabWorker(asked.folder, asked.name, asked.pg_bindir, asked.labs)
    worker.serve(asked.requests, asked.replies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
