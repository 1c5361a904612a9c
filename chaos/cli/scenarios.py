"""``bascule scenarios``: what can be drilled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from chaos.cli.files import write_new
from chaos.evidence.scenario_json import scenario_to_dict
from chaos.scenarios.load import builtin_scenarios, load_scenario, scenario_source


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.pass_context
def scenarios(context: click.Context, *, as_json: bool) -> None:
    """List the built-in scenarios; show or copy one."""
    if context.invoked_subcommand is not None:
        return
    found = builtin_scenarios()
    if as_json:
        print(json.dumps([scenario_to_dict(one) for one in found], indent=2, ensure_ascii=False))
        return
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name:{width}}  {one.title}")
    print("\nRun one with: bascule drill NAME", file=sys.stderr)


@scenarios.command()
@click.argument("name")
def show(*, name: str) -> None:
    """Print a scenario as TOML."""
    load_scenario(name)
    print(scenario_source(name), end="")


@scenarios.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def copy(*, name: str, file: Path) -> None:
    """Copy a built-in scenario to FILE, to start from."""
    write_new(file, scenario_source(name))
