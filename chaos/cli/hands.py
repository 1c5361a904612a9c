"""``bascule strike``, ``heal``, ``switchover`` and ``load``: what is done to a lab by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import indent

import click

from chaos.cli.labs import lab_of, lab_option, listed
from chaos.decode import encode
from chaos.evidence.records import Scalar
from chaos.faults.registry import FAULTS
from chaos.faults.switchover import SWITCHOVER
from chaos.faults.targets import Layout, layout_of
from chaos.gameday.asked import fault_list, read_params, read_step
from chaos.gameday.labs import LivingLab
from chaos.gameday.requests import Done, Request
from chaos.gameday.standing import TOPOLOGY
from cluster.topology.load import load_topology

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")


def _show_faults(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        print(fault_list())
        context.exit()


@click.command(epilog=listed("Faults:", indent(fault_list(), "  ")))
@click.argument("fault", metavar="FAULT")
@click.argument("target", default="", metavar="[TARGET]")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the fault, as in a scenario. May be given several times.",
)
@click.option(
    "--list",
    "list_them",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_faults,
    help="List the faults, and exit.",
)
@lab_option()
@AS_JSON
def strike(
    *, fault: str, target: str, params: tuple[str, ...], name: str | None, as_json: bool
) -> None:
    """Break something in a lab; it has taken effect when this returns.

    TARGET is a target as in a scenario (primary, replicas, any, site:NAME), or the name of a host
    or site. Without it: the primary, or the primary's site.

    \b
    bascule strike host-power-cut
    bascule strike link-cut db-orsay
    bascule strike switchover --param candidate=db-orsay
    """
    given = read_params(params)
    lab = lab_of(name)
    layout = layout_of_lab(lab)
    read_step(fault, target, given, layout)  # refused here, before anything is asked
    done = lab.ask(Request(op="strike", fault=fault, target=target, params=given), Done)
    _tell(done, f"{fault} on {', '.join(done.victims)}: {done.detail}", as_json=as_json)


@click.command()
@click.argument("fault", default="", metavar="[FAULT]")
@click.argument("victim", default="", metavar="[VICTIM]")
@lab_option()
@AS_JSON
def heal(*, fault: str, victim: str, name: str | None, as_json: bool) -> None:
    """Mend a lab: everything that is broken, or one fault, or one fault of one victim.

    What is healed is not whole yet when this returns: bascule status says what it lacks.
    """
    if fault and fault not in FAULTS:
        raise click.BadParameter(
            f"there is no fault {fault}; there are {', '.join(FAULTS)}", param_hint="FAULT"
        )
    done = lab_of(name).ask(Request(op="heal", fault=fault, host=victim), Done)
    _tell(done, done.detail, as_json=as_json)


@click.command()
@click.argument("candidate", default="", metavar="[CANDIDATE]")
@lab_option()
@AS_JSON
def switchover(*, candidate: str, name: str | None, as_json: bool) -> None:
    """Hand the primary role over, as planned: to CANDIDATE, or to whom Patroni prefers."""
    params: Mapping[str, Scalar] = {"candidate": candidate} if candidate else {}
    lab = lab_of(name)
    layout = layout_of_lab(lab)
    read_step(SWITCHOVER.key, "primary", params, layout)
    if candidate and candidate not in layout.nodes:
        raise click.BadParameter(
            f"there is no PostgreSQL on {candidate}; it is on {', '.join(layout.nodes)}",
            param_hint="CANDIDATE",
        )
    request = Request(op="strike", fault=SWITCHOVER.key, target="primary", params=params)
    done = lab.ask(request, Done)
    _tell(done, f"away from {', '.join(done.victims)}: {done.detail}", as_json=as_json)


@click.command()
@click.argument("what", type=click.Choice(["start", "stop"]))
@lab_option()
@AS_JSON
def load(*, what: str, name: str | None, as_json: bool) -> None:
    """Begin the load of a lab that was raised with --no-load, or end it before bascule down.

    The service is judged from the begin of the load to its end. It begins and ends once: gaps
    between loads would look like outages.
    """
    done = lab_of(name).ask(Request(op="load", target=what), Done)
    _tell(done, done.detail, as_json=as_json)


def layout_of_lab(lab: LivingLab) -> Layout:
    """Where the hosts of a lab are."""
    return layout_of(load_topology(lab.folder / TOPOLOGY))


def _tell(done: Done, words: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(encode(done), indent=2))
    else:
        print(words)
