"""``bascule drill``: run one drill and say how it ended."""

from __future__ import annotations

import json
import random
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import click

from chaos.cli.verdict_text import print_verdict
from chaos.drill.listeners import ListenPlace, parse_place
from chaos.drill.outside import DrillEnd, DrillRequest, default_folder, run_drill
from chaos.drill.places import SubstrateName
from chaos.errors import ScenarioError
from chaos.exit_codes import COULD_NOT_RUN, INTERRUPTED, of_verdict
from chaos.scenarios.load import WORKLOADS as WORKLOAD_NAMES
from chaos.scenarios.load import load_scenario
from chaos.scenarios.model import RATES_PER_S, WorkloadKind
from chaos.scenarios.rules import problems_of_pair
from cluster.compose.project import problems_of_containers
from cluster.errors import TopologyError
from cluster.topology.load import find_topology
from cluster.topology.model import Durability, Topology

SEED_BITS = 31
RATE_MAX = 5000.0
WORKERS_MAX = 200


@click.command()
@click.argument("scenario", default="host-loss")
@click.option(
    "--topology",
    "topology_name",
    default="three-sites",
    show_default=True,
    metavar="NAME|FILE",
    help="A built-in topology (bascule topologies) or a TOML file.",
)
@click.option(
    "--substrate",
    type=click.Choice(["lab", "compose"]),
    default="lab",
    show_default=True,
    help="What the sites are made of: namespaces of this machine, or containers (docs/compose.md).",
)
@click.option(
    "--durability",
    type=click.Choice(["quorum", "async"]),
    help="When a commit is acknowledged: quorum waits for a replica. [default: the scenario's, "
    "else the topology's]",
)
@click.option(
    "--workload",
    type=click.Choice(WORKLOAD_NAMES),
    help="What the load does (docs/scenarios.md). [default: the scenario's]",
)
@click.option("--ttl", "ttl_s", type=int, metavar="S", help="Patroni's ttl, at least 20.")
@click.option("--loop-wait", "loop_wait_s", type=int, metavar="S", help="Patroni's loop_wait.")
@click.option(
    "--retry-timeout", "retry_timeout_s", type=int, metavar="S", help="Patroni's retry_timeout."
)
@click.option(
    "--rate",
    "rate_per_s",
    type=click.FloatRange(0, RATE_MAX, min_open=True),
    metavar="N",
    help="Operations a second and site. [default: the workload's: "
    f"{', '.join(f'{name} {rate:g}' for name, rate in RATES_PER_S.items())}]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    default=2,
    show_default=True,
    metavar="N",
    help="Concurrent operations a site.",
)
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(1, 600),
    default=90.0,
    show_default=True,
    metavar="S",
    help="How long an operation may try.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Varies the load's timing. [default: drawn, and reported]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The run folder, new or empty. [default: runs/<time>-<scenario>]",
)
@click.option(
    "--pg-bindir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="PostgreSQL's programs. [default: the newest found]",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=lambda context, option, value: listen_place(value),
    help="While the drill runs, show Prometheus the drill and its cluster on this port "
    "(docs/monitoring.md). Without HOST: to this machine, and to its containers as "
    "host.docker.internal.",
)
@click.option("--keep", is_flag=True, help="Keep the lab after the verdict, until Ctrl-C.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print verdict.json to standard output instead of words.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def drill(  # noqa: PLR0913 (one argument an option)
    *,
    scenario: str,
    topology_name: str,
    substrate: SubstrateName,
    durability: Durability | None,
    workload: WorkloadKind | None,
    ttl_s: int | None,
    loop_wait_s: int | None,
    retry_timeout_s: int | None,
    rate_per_s: float | None,
    workers: int,
    deadline_s: float,
    seed: int | None,
    out: Path | None,
    pg_bindir: Path | None,
    metrics: ListenPlace | None,
    keep: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Raise the sites, break them, and judge what happened.

    SCENARIO is a built-in one (bascule scenarios) or a TOML file; without it, host-loss.

    The verdict, the report and all the evidence are in the run folder. Progress goes to standard
    error, the verdict to standard output.
    """
    what = load_scenario(scenario)
    if workload is not None:
        what = replace(what, workload=replace(what.workload, kind=workload))
    topology = find_topology(topology_name).with_settings(
        durability=durability or what.durability,
        ttl_s=ttl_s,
        loop_wait_s=loop_wait_s,
        retry_timeout_s=retry_timeout_s,
    )
    if substrate == "compose":
        require_containers(topology, pg_bindir)
    problems = tuple(problems_of_pair(what, topology))
    if problems:
        raise ScenarioError(what.name, problems)
    drawn = seed if seed is not None else random.SystemRandom().getrandbits(SEED_BITS)
    request = DrillRequest(
        scenario=what,
        topology=topology,
        seed=drawn,
        rate_per_s=RATES_PER_S[what.workload.kind] if rate_per_s is None else rate_per_s,
        workers=workers,
        deadline_s=deadline_s,
        out=out or default_folder(what.name),
        command=replay_command(sys.argv[1:], scenario, drawn),
        substrate=substrate,
        pg_bindir=pg_bindir,
        keep=keep,
        display="none" if quiet else "live" if sys.stderr.isatty() else "lines",
        metrics=metrics,
    )
    end = run_drill(request)
    if as_json:
        print(json.dumps(end.judged.verdict.to_json(), indent=2, ensure_ascii=False))
    else:
        print_verdict(end.folder, end.judged)
    for warning in end.warnings:
        print(f"bascule: warning: {warning}", file=sys.stderr)
    sys.exit(end_code(end))


def listen_place(text: str | None) -> ListenPlace | None:
    """What ``--metrics`` says.

    Raises:
        BadParameter: it is no place to listen.
    """
    try:
        return None if text is None else parse_place(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def require_containers(topology: Topology, pg_bindir: Path | None) -> None:
    """Refuse what containers cannot be.

    Raises:
        TopologyError: a host would be more than one container.
        UsageError: PostgreSQL was asked for from a folder; containers have it in their image.
    """
    if pg_bindir is not None:
        words = "--pg-bindir is for --substrate lab; containers have PostgreSQL in their image"
        raise click.UsageError(words)
    if problems := tuple(problems_of_containers(topology)):
        raise TopologyError(f"{topology.name} on containers", problems)


def replay_command(arguments: list[str], scenario: str, seed: int) -> str:
    """The command that runs the same drill again: same words, same seed, its own folder."""
    kept, skip = [], False
    if scenario not in arguments:
        arguments = ["drill", scenario, *arguments[1:]]
    for word in arguments:
        if skip or word in {"--keep", "--json", "--quiet", "--"}:
            skip = False
        elif word in {"--seed", "--out", "--metrics"}:
            skip = True
        elif not word.startswith(("--seed=", "--out=", "--metrics=")):
            kept.append(word)
    return shlex.join(["bascule", *kept, "--seed", str(seed)])


def end_code(end: DrillEnd) -> int:
    """The exit code of a drill."""
    if end.stopped_by is not None:
        return INTERRUPTED
    return of_verdict(end.judged.verdict.verdict) if end.ran else COULD_NOT_RUN
