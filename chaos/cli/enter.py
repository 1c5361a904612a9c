"""``bascule enter``: run a command in a lab that is up: of ``bascule up``, or of a drill."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from chaos.cli.labs import lab_of, lab_option
from chaos.drill.launch import LAB_PID
from chaos.errors import RunFolderError
from chaos.evidence.events import EVENTS, FaultHealed, FaultStruck, RunEvent, read_events
from chaos.evidence.folder import RUN_JSON, read_run_json
from chaos.faults.registry import lasts
from chaos.faults.targets import find_victim, layout_of
from chaos.gameday.errors import NotHealthyError
from chaos.gameday.labs import LOOK_TIMEOUT_S, LivingLab, find
from chaos.gameday.labs import names as lab_names
from chaos.gameday.raising import DBNAME
from chaos.gameday.requests import Ready, Request
from cluster.substrates.kind import SubstrateKind, Visit
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
@lab_option()
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[LAB] [COMMAND]...")
def enter(*, host: str | None, name: str | None, words: tuple[str, ...]) -> None:
    """Run a command, or a shell, inside a lab that is up, in the network of one of its hosts.

    \b
    bascule enter                               a shell in the only lab that is up
    bascule enter LAB patronictl list
    bascule enter --on db-orsay psql            on a host that you choose

    LAB is the name of a lab that is up (bascule up), or the run folder of a drill that is running,
    or was kept with --keep (psql needs that).
    """
    source = click.get_current_context().get_parameter_source("name")
    place, command = where(name, words, is_typed=source == ParameterSource.COMMANDLINE)
    run = place if isinstance(place, Path) else place.run
    pid = lab_pid(run)
    if pid is None:
        words_of_end = "no lab is up there; bascule drill --keep leaves one up after its verdict"
        raise RunFolderError(f"{run}: {words_of_end}", folder=run)
    topology = load_topology(run / "topology.toml")
    names = [one.name for one in topology.hosts]
    if host is not None and host not in names:
        raise RunFolderError(f"no host {host} in this lab; it has {', '.join(names)}", folder=run)
    if host is None:
        host = choose_host(topology, read_events(run / EVENTS, []))
        print(f"bascule: on {host} (--on HOST for another one)", file=sys.stderr, flush=True)
    visit = Visit(
        pid=pid,
        folder=run,
        topology=topology,
        host=host,
        command=command or SHELL,
        access={} if isinstance(place, Path) else access_of(place),
    )
    way = kind_of(run).way_in(visit)
    os.execvpe(way.argv[0], way.argv, {**os.environ, **way.environment})


def where(
    name: str | None, words: tuple[str, ...], *, is_typed: bool
) -> tuple[LivingLab | Path, tuple[str, ...]]:
    """The lab or the run folder that is meant, and the command to run there.

    Args:
        name: of ``--lab``, or of its variable.
        words: as they were typed; the first may be the name of a lab, or a run folder.
        is_typed: the name was: then all the words are the command.

    Raises:
        LabNameError: no lab is up, or several are.
    """
    if words and not is_typed:
        if words[0] in lab_names():
            return find(words[0]), words[1:]
        if (Path(words[0]) / RUN_JSON).exists():
            return Path(words[0]), words[1:]
    return lab_of(name), words


def access_of(lab: LivingLab) -> Mapping[str, str]:
    """The variables that let ``psql`` in (PostgreSQL manual, 32.15); none while it is raised."""
    try:
        ready = lab.ask(Request(op="ready"), Ready, timeout_s=LOOK_TIMEOUT_S)
    except NotHealthyError:
        return {}
    return {
        "PGUSER": ready.superuser,
        "PGPASSWORD": ready.superuser_password,
        "PGDATABASE": DBNAME,
    }


def lab_pid(run: Path) -> int | None:
    """The pid of the process that has the sites of a run folder; None if they are not up."""
    try:
        pid = int((run / LAB_PID).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if any(kind.has_sites(pid) for kind in SUBSTRATES.values()) else None


def kind_of(run: Path) -> SubstrateKind:
    """What the sites of a run folder are."""
    return SUBSTRATES[read_run_json(run).substrate["name"]]


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
