"""The supervisor of a lab that stays up: ``python -m chaos.gameday.standing FOLDER``.

Started by ``bascule up`` in a session of its own, so that it outlives the terminal. It runs the
lab as a drill that is broken by hand, and judges it at the end; when it is killed, the lab's
lifeline ends with it, and nothing of the lab is left but files.

Exit codes: those of a drill; 3 where the lab could not be raised.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from chaos.drill.launch import ByHandPlace, DrillRequest, run_drill
from chaos.errors import ChaosError
from chaos.gameday.plan import LabPlan, read_plan, scenario_of
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED, of_verdict
from cluster.errors import ClusterError
from cluster.stop_signals import handled
from cluster.topology.load import load_topology

TOPOLOGY = "topology.toml"
BY_HAND = "chaos.gameday.by_hand"
"""Run by name: this process needs nothing of it."""


def main() -> int:
    """Keep a lab until its end; the exit code."""
    folder = Path(sys.argv[1])
    plan = read_plan(folder)
    if plan is None:
        print(f"bascule: {folder} has no plan", file=sys.stderr)
        return COULD_NOT_RUN
    with handled(_leave):
        try:
            return keep(folder, plan)
        except (ChaosError, ClusterError, OSError) as error:
            print(f"bascule: {error}", file=sys.stderr, flush=True)
            return COULD_NOT_RUN
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _leave(number: int, _: FrameType | None) -> None:
    """Exit on a stop signal; while the lab lives, its own handlers are in force."""
    sys.exit(INTERRUPTED)


def keep(folder: Path, plan: LabPlan) -> int:
    """Raise the lab, keep it until somebody asks for its end, and judge it; the exit code."""
    end = run_drill(request_of(folder, plan))
    for warning in end.warnings:
        print(f"bascule: warning: {warning}", file=sys.stderr, flush=True)
    if end.stopped_by is not None:
        return INTERRUPTED
    return of_verdict(end.judged.verdict.verdict) if end.ran else COULD_NOT_RUN


def request_of(folder: Path, plan: LabPlan) -> DrillRequest:
    """The drill that a lab is."""
    listeners = [plan.control_fd, *(one.fd for one in plan.ports), plan.metrics_fd]

    def entered() -> None:
        """The lab has them now: a port of it ends with it."""
        for descriptor in listeners:
            with suppress(OSError):
                os.close(descriptor)

    return DrillRequest(
        scenario=scenario_of(plan),
        topology=load_topology(folder / TOPOLOGY),
        seed=plan.seed,
        rate_per_s=plan.rate_per_s,
        reads_per_s=plan.reads_per_s,
        workers=plan.workers,
        deadline_s=plan.deadline_s,
        out=Path(plan.run),
        command=plan.command,
        substrate=plan.substrate,
        pg_bindir=None if plan.pg_bindir is None else Path(plan.pg_bindir),
        by_hand=ByHandPlace(
            module=BY_HAND,
            folder=folder,
            inherited=(*plan.fds, plan.metrics_fd),
            metrics=(plan.metrics_fd,),
            entered=entered,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
