"""``bascule topologies``: where can be drilled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from chaos.cli.files import write_new
from cluster.topology.advice import advice
from cluster.topology.load import builtin_topologies, find_topology, topology_source


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_context
def topologies(context: click.Context, *, as_json: bool) -> None:
    """List the built-in topologies; show, copy or check one."""
    if context.invoked_subcommand is not None:
        return
    found = builtin_topologies()
    if as_json:
        rows = [
            {"name": one.name, "title": one.title, "sites": [site.name for site in one.sites]}
            for one in found
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name:{width}}  {one.title}")
    print("\nUse one with: bascule drill --topology NAME", file=sys.stderr)


@topologies.command()
@click.argument("name")
def show(*, name: str) -> None:
    """Print a topology as TOML."""
    print(topology_source(name), end="")


@topologies.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def copy(*, name: str, file: Path) -> None:
    """Copy a built-in topology to FILE, to start from."""
    write_new(file, topology_source(name))


@topologies.command()
@click.argument("name_or_file")
def check(*, name_or_file: str) -> None:
    """Read a topology, and say what is known to be a trap in it."""
    topology = find_topology(name_or_file)
    for line in advice(topology):
        print(f"advice: {line}")
    print(f"{topology.name}: {len(topology.sites)} sites, {len(topology.hosts)} hosts, good")
