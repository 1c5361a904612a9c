"""``bascule topologies``: where can be drilled."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from chaos.cli.files import write_new
from chaos.wording import counted
from cluster.errors import TopologyError
from cluster.toml.reader import NAME, NAME_RULE, read_text
from cluster.topology.importing.cluster import import_topology
from cluster.topology.load import builtin_topologies, find_topology, to_toml, topology_source
from cluster.topology.traps import advice


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_context
def topologies(context: click.Context, *, as_json: bool) -> None:
    """List the built-in topologies; show, copy, check or import one."""
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
    """Read a topology, and name the known traps in it."""
    topology = find_topology(name_or_file)
    traps = advice(topology)
    for line in traps:
        print(f"advice: {line}")
    size = f"{counted(len(topology.sites), 'site', 'sites')}, "
    size += counted(len(topology.hosts), "host", "hosts")
    print(f"{topology.name}: {size}; {verdict_of(traps)}")
    print(f"what it survives: bascule lint {name_or_file}", file=sys.stderr)


@topologies.command(name="import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
@click.option("--name", help="Name of the topology  [default: the cluster's scope].")
@click.option(
    "--site",
    "asked",
    multiple=True,
    metavar="SITE=HOST,HOST",
    help="A site and its hosts: members by name or address, etcd by address; once for each site.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the topology to this file  [default: standard output].",
)
def import_(
    *, files: tuple[Path, ...], name: str | None, asked: tuple[str, ...], out: Path | None
) -> None:
    """Make a topology from the patroni.yml of every member of a real cluster.

    Beside them may stand what "patronictl show-config" prints: the settings in force.
    What a topology cannot say is left out, and named on standard error.
    """
    texts = [(str(path), read_text(path, TopologyError)) for path in files]
    found = import_topology(texts, name=name, sites=read_sites(asked))
    for words in found.left_out:
        print(f"not taken over: {words}", file=sys.stderr)
    if out is None:
        print(to_toml(found.topology), end="")
    else:
        write_new(out, to_toml(found.topology))


def read_sites(asked: Sequence[str]) -> dict[str, list[str]]:
    """``SITE=HOST,HOST`` of the command line.

    Raises:
        BadParameter: an entry is none, or names a site a second time.
    """
    sites: dict[str, list[str]] = {}
    for entry in asked:
        site, equals, hosts = entry.partition("=")
        names = [name.strip() for name in hosts.split(",") if name.strip()]
        if not equals or not NAME.fullmatch(site) or not names or site in sites:
            words = f"found {entry!r}; expected SITE=HOST,HOST once for each site, SITE {NAME_RULE}"
            raise click.BadParameter(words, param_hint="--site")
        sites[site] = names
    return sites


def verdict_of(traps: Sequence[str]) -> str:
    """The result of a check: whether it found known traps."""
    if not traps:
        return "good: no trap is known in it"
    return (
        f"can be raised, with {counted(len(traps), 'known trap', 'known traps')} (the advice above)"
    )
