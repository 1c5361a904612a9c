"""The part of a drill that runs outside the sites: prepare the run folder, enter, judge, report.

What happens there can be killed at any moment; what it left is judged here all the same.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from chaos.drill.judge import Judged, judge_folder
from chaos.drill.listeners import ListenPlace, listening
from chaos.drill.places import Place, SubstrateName, prepare_compose, prepare_lab, say_on_stderr
from chaos.errors import OutputError
from chaos.evidence.folder import write_run_json
from chaos.evidence.records import Scalar
from chaos.evidence.run import HostInfo, RunInfo, SiteInfo
from chaos.exit_codes import COULD_NOT_RUN, INTERRUPTED
from chaos.scenarios.model import Scenario
from cluster.errors import LeftoverError
from cluster.lab.enter import handled
from cluster.topology.load import to_toml
from cluster.topology.model import Topology

LAB_PID = "lab.pid"
"""While the lab lives, the run folder has the pid of its init, for ``nsenter``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """What one drill is asked to be; everything is resolved and checked."""

    scenario: Scenario
    topology: Topology
    seed: int
    rate_per_s: float
    workers: int
    deadline_s: float
    out: Path
    command: str
    substrate: SubstrateName = "lab"
    pg_bindir: Path | None = None
    keep: bool = False
    display: str = "lines"
    metrics: ListenPlace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnd:
    """How a drill ended."""

    folder: Path
    judged: Judged
    ran: bool
    """It ran to its end; else it could not, or it was stopped."""
    stopped_by: signal.Signals | None
    warnings: tuple[str, ...] = field(default=())


def run_drill(request: DrillRequest) -> DrillEnd:
    """Run a drill and judge it.

    Raises:
        PrerequisiteError: this machine lacks something; nothing was begun.
        ListenError: nobody can listen where metrics are to be shown.
        OutputError: the run folder cannot be made, or is in use.
    """
    refuse_used(request.out)  # before anything that takes long
    with listening(request.metrics) as listeners:
        return _run_drill(request, tuple(one.fileno() for one in listeners))


def _run_drill(request: DrillRequest, listeners: Sequence[int]) -> DrillEnd:
    with handled(_leave):  # by an exception, so that no client of the engine is left behind
        place = prepare_place(request)
    folder = make_folder(request.out)
    write_run_json(folder, run_info(request, place))
    (folder / "topology.toml").write_text(to_toml(request.topology), encoding="utf-8")
    command = [sys.executable, "-m", "chaos.drill.inside", str(folder)]
    command += ["--display", request.display]
    command += place.options
    command += ["--keep"] if request.keep else []
    for listener in listeners:
        command += ["--metrics", str(listener)]
    pid_file = folder / LAB_PID
    left: tuple[str, ...] = ()
    try:
        code, stopped_by = place.enter(
            command, lambda pid: pid_file.write_text(f"{pid}\n", encoding="ascii"), listeners
        )
    except LeftoverError as error:  # of a drill that is over: what it found counts
        code, stopped_by, left = error.code, error.stopped_by, (str(error),)
    finally:
        pid_file.unlink(missing_ok=True)
    return DrillEnd(
        folder=folder,
        judged=judge_folder(folder),
        ran=code == 0,
        # Sites that were kept for a look ends by a signal, as it should.
        stopped_by=stopped_by if code not in (0, COULD_NOT_RUN) else None,
        warnings=place.warnings + left,
    )


def _leave(number: int, _: FrameType | None) -> None:
    """A stop signal, and nothing was begun."""
    sys.exit(INTERRUPTED)


def prepare_place(request: DrillRequest) -> Place:
    """Make sure that the drill can be where it is asked for.

    Raises:
        PrerequisiteError: this machine lacks something; nothing was begun.
    """
    if request.substrate == "compose":
        quiet = request.display == "none"
        return prepare_compose((lambda text: None) if quiet else say_on_stderr)
    return prepare_lab(request.pg_bindir)


def make_folder(out: Path) -> Path:
    """The run folder, new or empty.

    Raises:
        OutputError: something is in it, or it cannot be made.
    """
    folder = out.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror or error}") from error
    refuse_used(out)
    return folder


def refuse_used(out: Path) -> None:
    """A run needs a folder of its own.

    Raises:
        OutputError: something is in it, or it cannot be looked into.
    """
    try:
        is_used = out.exists() and any(out.iterdir())
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror or error}") from error
    if is_used:
        raise OutputError(f"--out {out}: the folder is not empty; a run needs one of its own")


def default_folder(scenario: str) -> Path:
    """``runs/20261124-035000-host-loss``, with a number when that exists."""
    base = Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{scenario}"
    candidate, number = base, 1
    while candidate.exists():
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate


def run_info(request: DrillRequest, place: Place) -> RunInfo:
    """What ``run.json`` says."""
    cluster = request.topology.cluster
    settings: Mapping[str, Scalar] = {
        "durability": cluster.durability,
        "ttl_s": cluster.ttl_s,
        "loop_wait_s": cluster.loop_wait_s,
        "retry_timeout_s": cluster.retry_timeout_s,
        "maximum_lag_on_failover_bytes": cluster.maximum_lag_on_failover_bytes,
        "synchronous_node_count": cluster.synchronous_node_count,
        "primary_start_timeout_s": cluster.primary_start_timeout_s,
        "rate_per_s": request.rate_per_s,
        "workers": request.workers,
        "deadline_s": request.deadline_s,
    }
    return RunInfo(
        scenario=request.scenario,
        command=request.command,
        seed=request.seed,
        started_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        started_t_s=time.monotonic(),
        topology=request.topology.name,
        sites=tuple(
            SiteInfo(
                name=site.name,
                hosts=tuple(HostInfo(name=host.name, roles=host.roles) for host in site.hosts),
            )
            for site in request.topology.sites
        ),
        settings=settings,
        versions=place.versions,
        substrate=place.substrate,
    )
