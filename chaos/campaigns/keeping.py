"""Keeps a lab from one run to the next, as long as that is honest.

The next run has the same cluster if it asks for the same topology with the same settings, if the
run before it was VALID, and if the cluster is then as it was at its birth (``fingerprint``). Each
run begins with fresh tables, and has all the evidence of a drill of its own; the logs of the
processes reach back to the birth of the lab.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from chaos.campaigns.kept_process import LOGS, KeptReply
from chaos.decode import decode
from chaos.drill.launch import (
    DrillEnd,
    DrillRequest,
    begin_folder,
    end_folder,
    refuse_unseen,
    refuse_used,
    run_info,
)
from chaos.evidence.run import RunInfo
from chaos.findings import Verdict
from chaos.judge.exit_codes import INTERRUPTED
from chaos.wording import counted
from cluster.substrates.kind import Place
from cluster.substrates.lab.enter import SealedLab
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import to_toml
from cluster.topology.model import Topology

MODULE = "chaos.campaigns.kept_process"
RUNS_MAX = 20
"""A lab is raised anew after so many runs: what piles up in it is not what a campaign looks for."""
KEPT = "kept"
"""Which run of which lab a run was, in the ``substrate`` of its ``run.json``."""
END_TIMEOUT_S = 30.0
"""For the cluster of a lab that is asked to stop: it heals first."""


class _KeptLab:
    """A lab that is up, seen from outside."""

    def __init__(self, folder: Path, topology: Topology, place: Place) -> None:
        self.topology = topology
        self.folder = folder
        self.runs = 0
        folder.mkdir(parents=True)
        (folder / "topology.toml").write_text(to_toml(topology), encoding="utf-8")
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        command = [sys.executable, "-m", MODULE, str(folder)]
        for option in place.options:
            command += ["--option", option]
        command += ["--requests", str(requests), "--replies", str(replies)]
        try:
            self._sealed = SealedLab(command, pass_fds=(requests, replies))
        finally:
            os.close(requests)
            os.close(replies)

    def ask(self) -> None:
        """Have what is under way stop, and heal."""
        self._sealed.ask()

    def kill(self) -> None:
        """End it at once."""
        self._sealed.kill()

    def drill(self, run: Path) -> KeptReply:
        """Run the drill of a run folder; the answer, also of a lab that has ended meanwhile."""
        self.runs += 1
        line = b""
        with suppress(BrokenPipeError):
            os.write(self._requests, f"{run}\n".encode())
            while not line.endswith(b"\n") and (chunk := os.read(self._replies, 65536)):
                line += chunk
        if line.endswith(b"\n"):
            return decode(KeptReply, json.loads(line))
        return KeptReply(code=self._sealed.process.wait(), unfit="the lab has ended")

    def end(self) -> None:
        """End it, and wait until nothing of it is left. Idempotent."""
        self._sealed.end(timeout_s=END_TIMEOUT_S)
        for descriptor in (self._requests, self._replies):
            with suppress(OSError):
                os.close(descriptor)


def had_lab(info: RunInfo) -> bool:
    """Whether a run had the lab of the run before it."""
    kept = info.substrate.get(KEPT)
    return kept is not None and not str(kept).startswith("run 1 ")


class LabKeeper:
    """Runs drills, each in the lab of the one before where it can.

    Args:
        folder: gets a folder for each lab.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lab: _KeptLab | None = None
        self._place: Place | None = None
        self.ended_because = ""
        """Why the lab of the last run was not kept; empty: it was."""

    def drill(self, request: DrillRequest) -> DrillEnd:
        """Run a drill, and judge it.

        Raises:
            PrerequisiteError: this machine lacks something; nothing was begun.
            OutputError, OSError: the run folder, or that of the lab, cannot be made.
        """
        refuse_used(request.out)
        refuse_unseen(request)
        lab, place = self._lab_for(request)
        info = run_info(request, place)
        kept = f"run {lab.runs + 1} in {lab.folder.name}"
        info = replace(info, substrate={**info.substrate, KEPT: kept})
        folder = begin_folder(request, info)
        reply = lab.drill(folder)
        for name in (LOGS, "config"):
            if (lab.folder / name).is_dir():
                shutil.copytree(lab.folder / name, folder / name, dirs_exist_ok=True)
        was_stopped = reply.code == INTERRUPTED
        end = end_folder(
            folder, reply.code, signal.SIGTERM if was_stopped else None, place.warnings
        )
        verdict = end.judged.verdict.verdict
        self.ended_because = reply.unfit
        if verdict is not Verdict.VALID:
            self.ended_because = f"the run is {verdict.name}"
        elif not reply.unfit and lab.runs >= RUNS_MAX:
            self.ended_because = f"it has had {counted(lab.runs, 'run', 'runs')}"
        if self.ended_because:
            self.end()
        return end

    def stop(self, *, at_once: bool) -> None:
        """Have the drill under way stop and heal, or end its lab at once; no effect without one."""
        if self._lab is not None:
            self._lab.kill() if at_once else self._lab.ask()

    def end(self) -> None:
        """End the lab that is kept, if any; its logs are in the folders of its runs."""
        if self._lab is not None:
            self._lab.end()
            shutil.rmtree(self._lab.folder, ignore_errors=True)
            self._lab = None

    def _lab_for(self, request: DrillRequest) -> tuple[_KeptLab, Place]:
        if self._place is None:
            kind = SUBSTRATES[request.substrate]
            self._place = kind.prepare(request.pg_bindir, lambda text: None)
        if self._lab is not None and self._lab.topology != request.topology:
            self.end()
        if self._lab is None:
            number = 1
            while (folder := self._folder / f"lab-{number}").exists():
                number += 1
            self._lab = _KeptLab(folder.resolve(), request.topology, self._place)
        return self._lab, self._place
