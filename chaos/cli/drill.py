"""``bascule drill``: run one drill and say how it ended."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

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
from chaos.drill.launch import DrillEnd, DrillRequest, default_folder, run_drill
from chaos.errors import ScenarioError
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED, of_verdict
from chaos.live.listeners import ListenPlace, parse_place
from chaos.scenarios.fitting import fitted
from chaos.scenarios.load import builtin_scenarios, load_scenario, with_options
from chaos.scenarios.model import WorkloadSpec
from chaos.scenarios.rules import problems_of_pair
from chaos.workloads.kind import NO_PROXY_FOR_STORAGE, ClientName
from chaos.workloads.registry import WORKLOADS
from cluster.substrates.registry import SUBSTRATES
from cluster.topology.load import DEFAULT as DEFAULT_TOPOLOGY
from cluster.topology.load import builtin_topologies, find_topology
from cluster.topology.model import SyncMode
from cluster.topology.proxies import PROXY_ROLES, ProxyRole

SEED_BITS = 31
WORKERS_MAX = 200


@click.command()
@click.argument("scenario", default="host-loss")
@click.option(
    "--topology",
    "topology_name",
    metavar="NAME|FILE",
    help="A built-in topology (bascule topologies) or a TOML file. [default: the one that the "
    f"scenario is made for, else {DEFAULT_TOPOLOGY}]",
)
@SUBSTRATE
@durability_option("[default: the scenario's, else the topology's]")
@click.option(
    "--workload",
    type=click.Choice(tuple(WORKLOADS)),
    help="What the load does (docs/use/scenarios.md). [default: the scenario's]",
)
@click.option(
    "--option",
    "workload_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the workload, as in [workload] of a scenario (isolation=serializable); may "
    "be given several times.",
)
@click.option(
    "--client",
    type=click.Choice(get_args(ClientName)),
    help="What the load speaks to: the storage layer, or plain psycopg with a DSN of all hosts, to "
    "see the difference (docs/use/scenarios.md). [default: storage; psycopg with --through]",
)
@click.option(
    "--through",
    type=click.Choice(PROXY_ROLES),
    help="Plain psycopg goes through this proxy, which the topology must have; the storage layer "
    "writes straight to the members beside it, so that the verdict tells what the proxy costs. "
    "[default: the scenario's, else none]",
)
@patroni_options
@rate_option(
    ". [default: the workload's: "
    f"{', '.join(f'{kind.key} {kind.rate_per_s:g}' for kind in WORKLOADS.values())}]"
)
@READS
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
    help="Time limit of one operation, all its attempts included.",
)
@seed_option("Varies the load's timing. [default: random, and reported]")
@out_option("run", "runs/<time>-<scenario>")
@PG_BINDIR
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=lambda context, option, value: listen_place(value),
    help="While the drill runs, serve metrics of the drill and its cluster on this port "
    "(docs/operate/monitoring.md). Without HOST: to this machine, and to its containers as "
    "host.docker.internal.",
)
@click.option("--keep", is_flag=True, help="Keep the lab after the verdict, until Ctrl-C.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print verdict.json to standard output instead of text.",
)
@QUIET
@click.pass_context
def drill(  # noqa: PLR0913 (one argument an option)
    context: click.Context,
    *,
    scenario: str,
    topology_name: str | None,
    substrate: str,
    durability: SyncMode | None,
    workload: str | None,
    workload_options: tuple[str, ...],
    client: ClientName | None,
    through: ProxyRole | None,
    ttl_s: int | None,
    loop_wait_s: int | None,
    retry_timeout_s: int | None,
    witness: bool | None,
    rate_per_s: float | None,
    reads_per_s: float,
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
    if workload is not None and workload != what.workload.kind:
        what = replace(what, workload=WorkloadSpec(options=WORKLOADS[workload].options()))
    if workload_options:
        what = replace(what, workload=with_options(what.workload, workload_options))
    if through is not None:
        what = replace(what, through=through)
    if what.through is not None and client == "storage":
        raise click.BadParameter(
            f"with --through {what.through} the load needs --client psycopg: "
            f"{NO_PROXY_FOR_STORAGE}",
            param_hint="--client",
        )
    client = client or ("storage" if what.through is None else "psycopg")
    if client not in WORKLOADS[what.workload.kind].clients:
        able = ", ".join(key for key, kind in WORKLOADS.items() if client in kind.clients)
        raise click.BadParameter(
            f"the workload {what.workload.kind} needs the storage layer; plain psycopg does {able}",
            param_hint="--client",
        )
    chosen = topology_name or what.topology or DEFAULT_TOPOLOGY
    topology = find_topology(chosen).with_settings(
        durability=durability or what.durability,
        ttl_s=ttl_s,
        loop_wait_s=loop_wait_s,
        retry_timeout_s=retry_timeout_s,
        witness=what.witness if witness is None else witness,
    )
    topology = fitted(topology, what)
    refuse_postgres(substrate, pg_bindir)
    SUBSTRATES[substrate].check_topology(topology)
    problems = tuple(problems_of_pair(what, topology))
    if problems:
        raise ScenarioError(what.name, problems)
    drawn = seed if seed is not None else random.SystemRandom().getrandbits(SEED_BITS)
    request = DrillRequest(
        scenario=what,
        topology=topology,
        seed=drawn,
        rate_per_s=WORKLOADS[what.workload.kind].rate_per_s if rate_per_s is None else rate_per_s,
        reads_per_s=reads_per_s,
        client=client,
        workers=workers,
        deadline_s=deadline_s,
        out=out or default_folder(what.name),
        command=replay_command(context.command, context.params, drawn, _built_in()),
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
    """The address in ``--metrics``.

    Raises:
        BadParameter: it is not an address to listen on.
    """
    try:
        return None if text is None else parse_place(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def refuse_postgres(substrate: str, pg_bindir: Path | None) -> None:
    """Refuse PostgreSQL from a folder where the substrate has its own.

    Raises:
        UsageError: it was asked for.
    """
    if pg_bindir is None or not (why := SUBSTRATES[substrate].own_postgres):
        return
    choosing = " or ".join(key for key, kind in SUBSTRATES.items() if not kind.own_postgres)
    raise click.UsageError(f"--pg-bindir is for --substrate {choosing}; {why}")


def _built_in() -> dict[str, list[str]]:
    """By parameter, the names of built-in ones, which are not files."""
    return {
        "scenario": [scenario.name for scenario in builtin_scenarios()],
        "topology_name": [topology.name for topology in builtin_topologies()],
    }


def end_code(end: DrillEnd) -> int:
    """The exit code of a drill."""
    if end.stopped_by is not None:
        return INTERRUPTED
    return of_verdict(end.judged.verdict.verdict) if end.ran else COULD_NOT_RUN
