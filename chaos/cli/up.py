"""``bascule up`` and ``bascule down``: raise sites that stay, and end them with a verdict."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import click

from chaos.cli.drill import SEED_BITS, refuse_postgres
from chaos.cli.labs import lab_of, named_lab, say
from chaos.cli.replay import replay_command
from chaos.cli.shared_options import (
    PG_BINDIR,
    QUIET,
    READS,
    SUBSTRATE,
    durability_option,
    out_option,
    patroni_options,
    rate_option,
    seed_option,
)
from chaos.cli.verdict_text import print_verdict
from chaos.decode import encode
from chaos.drill.launch import default_folder
from chaos.errors import RunFolderError
from chaos.evidence.events import EVENTS, Interrupted, Phase, PhaseBegan, read_events
from chaos.gameday.errors import ClusterInTestsError, LabDiedError
from chaos.gameday.lab_view import LabView
from chaos.gameday.labs import DEFAULT_NAME, LOG, LabNameError, LivingLab, find
from chaos.gameday.plan import RATE_PER_S
from chaos.gameday.raising import LabRequest, LabUrls, RaisingLab, start
from chaos.gameday.requests import Done, Request
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED, of_verdict
from chaos.judge.folder import judge_folder
from chaos.report import write_reports
from chaos.workloads.registry import DEFAULT as DEFAULT_WORKLOAD
from chaos.workloads.registry import WORKLOADS
from cluster.stop_signals import handled
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import builtin_topologies, find_topology
from cluster.topology.model import SyncMode

POLL_S = 0.1
RTO_S_MAX = 60.0
"""As in the scenario host-loss: twice what Patroni's defaults (ttl 30) need."""
DEADLINE_S = 90.0
WORKERS = 2
PORT_MIN, PORT_MAX = 1024, 65000


class _StoppedError(Exception):
    """A signal asked for the end of the boot."""


@click.command()
@named_lab(f"The name of the lab. [default: {DEFAULT_NAME}]")
@click.option(
    "--topology",
    "topology_name",
    default="three-sites",
    show_default=True,
    metavar="NAME|FILE",
    help="A built-in topology (bascule topologies) or a TOML file.",
)
@SUBSTRATE
@durability_option("[default: the topology's]")
@patroni_options
@click.option(
    "--workload",
    type=click.Choice(tuple(WORKLOADS)),
    default=DEFAULT_WORKLOAD.key,
    show_default=True,
    help="What the load does (docs/use/scenarios.md).",
)
@rate_option(".", default=RATE_PER_S)
@READS
@click.option(
    "--no-load",
    is_flag=True,
    help="Offer no load until bascule load start. Without load there is no verdict on service.",
)
@click.option(
    "--rto-max",
    "rto_s_max",
    type=click.FloatRange(0.1, 3600),
    default=RTO_S_MAX,
    show_default=True,
    metavar="S",
    help="The longest time in which a site may be without an acknowledged write.",
)
@click.option(
    "--ports",
    "first_port",
    type=click.IntRange(PORT_MIN, PORT_MAX),
    metavar="FIRST",
    help="Ports of 127.0.0.1, beginning with this one: the primary, the replicas, metrics, then "
    "every node. [default: free ones]",
)
@seed_option("[default: random]")
@out_option("run", "runs/<time>-by-hand-<name>")
@PG_BINDIR
@click.option("--json", "as_json", is_flag=True, help="Print where the lab is reached as JSON.")
@QUIET
@click.pass_context
def up(  # noqa: PLR0913 (one argument an option)
    context: click.Context,
    *,
    name: str | None,
    topology_name: str,
    substrate: str,
    durability: SyncMode | None,
    ttl_s: int | None,
    loop_wait_s: int | None,
    retry_timeout_s: int | None,
    witness: bool | None,
    workload: str,
    rate_per_s: float,
    reads_per_s: float,
    no_load: bool,
    rto_s_max: float,
    first_port: int | None,
    seed: int | None,
    out: Path | None,
    pg_bindir: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Raise sites that stay up, to be broken by hand.

    NAME is the name of the lab; several can be up at a time.

    \b
    bascule up                            raise it; prints where it is reached
    bascule strike link-cut db-paris      break it (bascule strike --help: all faults)
    bascule watch                         see what that does
    bascule heal                          mend it
    bascule down                          end it, with the verdict on all of it

    The lab outlives this terminal. It is a drill without a schedule: load runs, everything that is
    done to it is recorded, and bascule down judges it and writes its report.
    """
    name = name or DEFAULT_NAME
    topology = find_topology(topology_name).with_settings(
        durability=durability,
        ttl_s=ttl_s,
        loop_wait_s=loop_wait_s,
        retry_timeout_s=retry_timeout_s,
        witness=witness,
    )
    refuse_postgres(substrate, pg_bindir)
    SUBSTRATES[substrate].check_topology(topology)
    drawn = seed if seed is not None else random.SystemRandom().getrandbits(SEED_BITS)
    request = LabRequest(
        name=name,
        topology=topology,
        substrate=substrate,
        seed=drawn,
        workload=workload,
        rate_per_s=rate_per_s,
        reads_per_s=reads_per_s,
        workers=WORKERS,
        deadline_s=DEADLINE_S,
        rto_s_max=rto_s_max,
        load=not no_load,
        out=out or default_folder(f"by-hand-{name}"),
        command=replay_command(context.command, context.params, drawn, _built_in()),
        pg_bindir=pg_bindir,
        first_port=first_port or 0,
    )
    raising = start(request, say)
    urls = _follow(raising, quiet=quiet)
    if as_json:
        print(json.dumps(_up_json(raising, urls), indent=2))
    else:
        _print_urls(name, urls)


def _follow(raising: RaisingLab, *, quiet: bool) -> LabUrls:
    """Show how it is raised, until it is; an interruption ends it."""

    def stop(number: int, _: FrameType | None) -> None:
        raise _StoppedError

    unseen = ""
    with handled(stop):
        try:
            while raising.process.poll() is None:
                text = raising.said()
                _show(text, quiet=quiet)
                unseen += text if quiet else ""
                if (urls := raising.urls()) is not None:
                    _show(raising.said(), quiet=quiet)
                    raising.let_go()
                    return urls
                time.sleep(POLL_S)
        except _StoppedError:
            _stop(raising, quiet=quiet)
            sys.exit(INTERRUPTED)
        code = raising.process.wait()
        _show(unseen + raising.said(), quiet=False)  # why, at least
        raising.abandon()
    say(f"lab {raising.plan.name} could not be raised")
    sys.exit(code if code > 0 else COULD_NOT_RUN)


def _stop(raising: RaisingLab, *, quiet: bool) -> None:
    """End what is being raised; a second signal ends it at once."""
    say("interrupted: ending what was raised so far")
    try:
        raising.process.terminate()
        raising.process.wait()
    except _StoppedError:
        raising.process.kill()
        raising.process.wait()
    _show(raising.said(), quiet=quiet)
    raising.abandon()


def _show(text: str, *, quiet: bool) -> None:
    if text and not quiet:
        print(text, end="", file=sys.stderr, flush=True)


def _up_json(raising: RaisingLab, urls: LabUrls) -> Mapping[str, object]:
    plan = raising.plan
    return {
        "name": plan.name,
        "topology": plan.topology,
        "substrate": plan.substrate,
        "run": plan.run,
        "supervisor_pid": raising.process.pid,
        "urls": encode(urls),
    }


def _print_urls(name: str, urls: LabUrls) -> None:
    print(f"lab {name} is up\n")
    print(f"  primary   {urls.primary}")
    print(f"  replicas  {urls.replica}")
    for node, url in urls.nodes.items():
        print(f"  {node}  {url}")
    print(f"  metrics   {urls.metrics}\n")
    print("  break it  bascule strike FAULT TARGET   (bascule strike --help)")
    print("  watch it  bascule watch")
    print("  end it    bascule down", flush=True)


def _built_in() -> dict[str, list[str]]:
    return {"topology_name": [topology.name for topology in builtin_topologies()]}


@click.command()
@named_lab()
@click.option(
    "--now",
    is_flag=True,
    help="Do not wait until the cluster is whole again: no final read, and so no verdict.",
)
@click.option("--json", "as_json", is_flag=True, help="Print verdict.json instead of text.")
@QUIET
def down(*, name: str | None, now: bool, as_json: bool, quiet: bool) -> None:
    """End a lab: heal what is broken, judge the game day, and remove everything but its evidence.

    The exit code is that of a drill: 0 VALID, 1 INVALID, 4 UNKNOWN, 3 it had broken off before,
    130 it was stopped (--now).
    """
    try:
        lab = lab_of(name)
    except LabDiedError as error:
        say(str(error))
        sys.exit(_judge(error.run, as_json=as_json, died=True))
    with (lab.folder / LOG).open("rb") as log:
        log.seek(0, os.SEEK_END)
        _ask_for_the_end(lab, now=now)
        while _is_there(lab):
            _show(log.read().decode("utf-8", errors="replace"), quiet=quiet)
            time.sleep(POLL_S)
        lab.wait_over()
        _show(log.read().decode("utf-8", errors="replace"), quiet=quiet)
    sys.exit(_judge(lab.run, as_json=as_json, died=_has_died(lab)))


def _ask_for_the_end(lab: LivingLab, *, now: bool) -> None:
    """By the channel where the lab is up; with a signal where it is not yet, or must not wait."""
    if not now:
        try:
            view = lab.ask(Request(op="look"), LabView, timeout_s=10.0)
            if view.phase not in (Phase.BOOT, Phase.PREFLIGHT, "start"):
                lab.ask(Request(op="down"), Done, timeout_s=10.0)
                return
        except ClusterInTestsError as error:
            say(f"it does not answer ({error}): stopping it")
    try:
        os.kill(lab.pid, signal.SIGTERM)
    except ProcessLookupError:
        say("its supervisor is gone already")


def _is_there(lab: LivingLab) -> bool:
    """Its supervisor has not removed its folder yet, and lives."""
    return lab.folder.exists() and not lab.is_ending


def _has_died(lab: LivingLab) -> bool:
    """Its supervisor was killed on the way; what it left is removed then."""
    if not lab.folder.exists():
        return False
    try:
        find(lab.name)
    except LabDiedError as error:
        say(str(error))
        return True
    except LabNameError:
        pass
    return False


def _judge(run: Path | None, *, as_json: bool, died: bool) -> int:
    """Print the verdict of a run folder; the exit code."""
    if run is None or not run.exists():
        say("nothing was recorded")
        return COULD_NOT_RUN
    try:
        judged = judge_folder(run)
    except RunFolderError as error:
        say(str(error))
        return COULD_NOT_RUN
    if died:  # nobody has drawn it
        write_reports(run, judged.run, judged.verdict)
    if as_json:
        print(json.dumps(judged.verdict.to_json(), indent=2, ensure_ascii=False))
    else:
        print_verdict(run, judged)
    if died:
        return COULD_NOT_RUN
    events = read_events(run / EVENTS, [])
    if any(isinstance(event, PhaseBegan) and event.phase == Phase.DONE for event in events):
        return of_verdict(judged.verdict.verdict)
    stopped = any(
        isinstance(event, Interrupted) and "signal" in str(event.reason) for event in events
    )
    return INTERRUPTED if stopped else COULD_NOT_RUN
