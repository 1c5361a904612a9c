"""The part of a drill that runs outside the sites: prepare the run folder, enter, judge, report.

The part inside the sites can be killed at any moment; what it left is judged here all the same.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from chaos.errors import OutputError
from chaos.evidence.folder import write_run_json
from chaos.evidence.manifest import write_manifest
from chaos.evidence.records import Scalar
from chaos.evidence.run import HostInfo, RunInfo, SiteInfo
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED
from chaos.judge.folder import Judged, judge_folder
from chaos.live.listeners import ListenPlace, listening
from chaos.load.reads import READS_PER_S
from chaos.report import write_reports
from chaos.report.limits import LAYERED
from chaos.scenarios.model import Scenario
from chaos.timing.durations import PROXY_DELAY_S
from chaos.workloads.kind import ClientName
from chaos.workloads.shared import shared_every
from cluster.binaries import proxy_versions
from cluster.errors import ClusterError, LeftoverError
from cluster.stop_signals import handled
from cluster.substrates.kind import Place
from cluster.substrates.registry import DEFAULT, SUBSTRATES
from cluster.topology.load import to_toml
from cluster.topology.model import Topology
from cluster.topology.proxies import proxy_delay_s

LAB_PID = "lab.pid"
"""While the sites are up, the run folder has the pid of the process that has them: of a lab its
init, for ``nsenter``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHandPlace:
    """Where a person reaches a drill that is broken by hand; made before it begins."""

    module: str
    """Runs the part inside the sites, in place of ``chaos.drill.process``."""
    folder: Path
    """Of the lab that stays up, for this module."""
    inherited: tuple[int, ...]
    """Descriptors that the part inside the sites inherits: the lock, the listeners."""
    metrics: tuple[int, ...]
    """Of these, the listeners for Prometheus."""
    entered: Callable[[], object]
    """Called when the part inside has them."""


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
    substrate: str = DEFAULT
    """A key of ``SUBSTRATES``."""
    reads_per_s: float = READS_PER_S
    """Reads of a site beside its writes; 0: none."""
    client: ClientName = "storage"
    """What the workload speaks to; plain psycopg where the scenario goes through a proxy."""
    pg_bindir: Path | None = None
    keep: bool = False
    display: str = "lines"
    metrics: ListenPlace | None = None
    by_hand: ByHandPlace | None = None
    """Broken by hand, not by a schedule."""


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
        ListenError: the address for the metrics cannot be listened on.
        OutputError: the run folder cannot be made, or is in use.
    """
    refuse_used(request.out)  # before anything that takes long
    refuse_unseen(request)
    with listening(request.metrics) as listeners:
        return _run_drill(request, tuple(one.fileno() for one in listeners))


def _run_drill(request: DrillRequest, listeners: Sequence[int]) -> DrillEnd:
    with handled(_leave):  # by an exception, so that no client of the engine is left behind
        place = prepare_place(request)
    folder = begin_folder(request, run_info(request, place))
    hand = request.by_hand
    module = "chaos.drill.process" if hand is None else hand.module
    command = [sys.executable, "-m", module, str(folder)]
    command += ["--display", request.display]
    command += ["--substrate", request.substrate]
    for option in place.options:
        command += ["--option", option]
    command += ["--keep"] if request.keep else []
    inherited = tuple(listeners)
    if hand is not None:
        command += ["--by-hand", str(hand.folder)]
        inherited += hand.inherited
        listeners = (*listeners, *hand.metrics)
    for listener in listeners:
        command += ["--metrics", str(listener)]
    pid_file = folder / LAB_PID
    left: tuple[str, ...] = ()

    def entered(pid: int) -> None:
        pid_file.write_text(f"{pid}\n", encoding="ascii")
        if hand is not None:
            hand.entered()

    try:
        code, stopped_by = place.enter(command, entered, inherited)
    except LeftoverError as error:  # of a drill that is over: what it found counts
        code, stopped_by, left = error.code, error.stopped_by, (str(error),)
    finally:
        pid_file.unlink(missing_ok=True)
    return end_folder(folder, code, stopped_by, place.warnings + left)


def begin_folder(request: DrillRequest, info: RunInfo) -> Path:
    """Make the run folder of a drill, with what it is asked to be.

    Raises:
        OutputError: it cannot be made, or is in use.
    """
    folder = make_folder(request.out)
    write_run_json(folder, info)
    (folder / "topology.toml").write_text(to_toml(request.topology), encoding="utf-8")
    return folder


def end_folder(
    folder: Path, code: int, stopped_by: signal.Signals | None, warnings: tuple[str, ...] = ()
) -> DrillEnd:
    """Judge what a drill has left, and draw its reports.

    Args:
        folder: of the run; no process of the drill writes it any more.
        code: how the part inside the sites ended.
        stopped_by: the signal that stopped it, if any did.
        warnings: to be told with the verdict.
    """
    try:
        write_manifest(folder)
    except OSError as error:  # without it the verdict is UNKNOWN; reported
        warnings += (f"the manifest could not be written: {error}",)
    judged = judge_folder(folder)
    write_reports(folder, judged.run, judged.verdict)
    return DrillEnd(
        folder=folder,
        judged=judged,
        ran=code == 0,
        # A signal ends a drill whose sites were kept for a look: that is no stop.
        stopped_by=stopped_by if code not in (0, COULD_NOT_RUN) else None,
        warnings=warnings,
    )


def _leave(number: int, _: FrameType | None) -> None:
    """Exit on a stop signal; the drill has not begun."""
    sys.exit(INTERRUPTED)


def prepare_place(request: DrillRequest) -> Place:
    """Check that the substrate that was asked for can carry the drill.

    Raises:
        PrerequisiteError: this machine lacks something; nothing was begun.
    """
    say = (lambda text: None) if request.display == "none" else say_on_stderr
    return SUBSTRATES[request.substrate].prepare(request.pg_bindir, say)


def say_on_stderr(text: str) -> None:
    """Progress, for people."""
    print(f"bascule: {text}", file=sys.stderr, flush=True)


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
    """Refuse a run folder that is not empty.

    Raises:
        OutputError: something is in it, or it cannot be looked into.
    """
    try:
        is_used = out.exists() and any(out.iterdir())
    except OSError as error:
        raise OutputError(f"--out {out}: {error.strerror or error}") from error
    if is_used:
        raise OutputError(f"--out {out}: the folder is not empty; a run needs one of its own")


def refuse_unseen(request: DrillRequest) -> None:
    """The hosts must see the run folder.

    Raises:
        OutputError: they would not; says why.
    """
    try:
        SUBSTRATES[request.substrate].check_folder(request.out)
    except ClusterError as error:
        raise OutputError(f"--out: {error}") from error


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
    client: ClientName = "psycopg" if request.scenario.through else request.client
    settings: Mapping[str, Scalar] = {
        "durability": cluster.durability,
        "ttl_s": cluster.ttl_s,
        "loop_wait_s": cluster.loop_wait_s,
        "retry_timeout_s": cluster.retry_timeout_s,
        "maximum_lag_on_failover_bytes": cluster.maximum_lag_on_failover_bytes,
        "synchronous_node_count": cluster.synchronous_node_count,
        "primary_start_timeout_s": cluster.primary_start_timeout_s,
        "synchronous_mode": cluster.synchronous_mode if cluster.durability == "quorum" else "off",
        "synchronous_mode_strict": cluster.synchronous_mode_strict,
        "failsafe_mode": cluster.failsafe_mode,
        "witness": cluster.witness,
        "rate_per_s": request.rate_per_s,
        "workers": request.workers,
        "deadline_s": request.deadline_s,
        "shared_every": shared_every(
            request.scenario.workload.kind,
            sum(any("client" in host.roles for host in s.hosts) for s in request.topology.sites),
        )
        if client == "storage"
        else 0,
        # Plain psycopg keeps no promise of a read that could be judged.
        "reads_per_s": request.reads_per_s if client == "storage" else 0.0,
        "client": client,
    }
    if request.scenario.through is not None:
        delay_s = proxy_delay_s(request.topology.proxies, request.scenario.through)
        settings = {**settings, **({} if delay_s is None else {PROXY_DELAY_S: delay_s})}
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
                hosts=tuple(
                    HostInfo(name=host.name, roles=host.roles, tags=host.tags)
                    for host in site.hosts
                ),
                standby=site.standby,
            )
            for site in request.topology.sites
        ),
        settings=settings,
        versions={**place.versions, **proxy_versions(request.topology)},
        substrate={
            "name": request.substrate,
            "wan": SUBSTRATES[request.substrate].wan(request.topology),
            **place.substrate,
            **_disks(request.topology),
        },
    )


def _disks(topology: Topology) -> Mapping[str, str]:
    """Where the data lie, if a process of their host serves the disks."""
    return {"data": LAYERED} if topology.has_layered_disks else {}
