"""``bascule enter``: run a command in a lab that is up: of ``bascule up``, or of a drill."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from chaos.drill.launch import LAB_PID
from chaos.errors import RunFolderError
from chaos.evidence.events import EVENTS, FaultHealed, FaultStruck, RunEvent, read_events
from chaos.evidence.folder import read_run_json
from chaos.faults.registry import lasts
from chaos.faults.targets import find_victim, layout_of
from chaos.gameday.labs import find
from chaos.gameday.labs import names as lab_names
from cluster.binaries import find_binaries
from cluster.substrates.lab.look import is_lab, look_command, look_environment
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import load_topology
from cluster.topology.model import Topology

SHELL = ("sh",)


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--on",
    "host",
    metavar="HOST",
    help="Use the network of this host. [default: the first PostgreSQL host within reach]",
)
@click.argument("run", type=click.Path(path_type=Path), metavar="LAB")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def enter(*, run: Path, host: str | None, command: tuple[str, ...]) -> None:
    """Run a command, or a shell, inside a lab that is up, in the network of one of its hosts.

    \b
    bascule enter LAB                           a shell
    bascule enter LAB patronictl list
    bascule enter --on db-orsay LAB psql        on a host that you choose

    LAB is the name of a lab that is up (bascule up), or the run folder of a drill that is running,
    or was kept with --keep (psql needs that).
    """
    if not run.exists() and str(run) in lab_names():
        run = find(str(run)).run
    pid = lab_pid(run)
    if pid is None:
        raise RunFolderError(f"{run}: {why_no_lab(run)}", folder=run)
    topology = load_topology(run / "topology.toml")
    names = [one.name for one in topology.hosts]
    if host is not None and host not in names:
        raise RunFolderError(f"no host {host} in this lab; it has {', '.join(names)}", folder=run)
    if host is None:
        host = choose_host(topology, read_events(run / EVENTS, []))
        print(f"bascule: on {host} (--on HOST for another one)", file=sys.stderr, flush=True)
    environment = look_environment(
        topology,
        run.resolve() / "config",
        find_binaries().pg_bindir,
        Path(sys.executable).parent,
        host,
    )
    argv = look_command(pid, host, command or SHELL)
    os.execvpe(argv[0], argv, {**os.environ, **environment})


def lab_pid(run: Path) -> int | None:
    """The pid of the init of the lab that is up in a run folder; None if there is none."""
    try:
        pid = int((run / LAB_PID).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if is_lab(pid) else None


def why_no_lab(run: Path) -> str:
    """Why the run folder has no lab to enter, and what to do instead."""
    with suppress(RunFolderError):
        kind = SUBSTRATES.get(read_run_json(run).substrate.get("name", ""))
        if kind is not None and kind.no_lab:
            return kind.no_lab
    return "no lab is up there; bascule drill --keep leaves one up after its verdict"


def choose_host(topology: Topology, events: Sequence[RunEvent]) -> str:
    """The first PostgreSQL host within reach; the first of all if faults cut off every one.

    A command must run in the network of some host: outside of them nothing of the lab is reachable.
    """
    struck: set[str] = set()
    for event in events:
        if isinstance(event, FaultStruck) and lasts(event.fault):
            struck.add(str(event.target))
        elif isinstance(event, FaultHealed):
            struck.discard(str(event.target))
    layout = layout_of(topology)
    away = {host for name in struck for host in find_victim(name, layout).hosts}
    return next((node for node in topology.nodes if node not in away), topology.nodes[0])
