"""The command group, and what every subcommand shares."""

from __future__ import annotations

from importlib.metadata import version
from pkgutil import resolve_name

import click

EPILOG = """\b
Exit codes: 0 passed, 1 findings, 2 usage or configuration, 3 could not run,
4 inconclusive, 130 interrupted.
"""


COMMANDS = {
    "backup": "chaos.cli.backup:backup",
    "campaign": "chaos.cli.campaign:campaign",
    "check": "chaos.cli.check:check",
    "compose": "chaos.cli.compose:compose",
    "doctor": "chaos.cli.doctor:doctor",
    "down": "chaos.cli.up:down",
    "drill": "chaos.cli.drill:drill",
    "enter": "chaos.cli.enter:enter",
    "evidence": "chaos.cli.evidence:evidence",
    "exporter": "chaos.cli.exporter:exporter",
    "heal": "chaos.cli.hands:heal",
    "judge": "chaos.cli.judge:judge",
    "lint": "chaos.cli.lint:lint_command",
    "load": "chaos.cli.hands:load",
    "logs": "chaos.cli.look:logs",
    "monitoring": "chaos.cli.monitoring:monitoring",
    "psql": "chaos.cli.look:psql",
    "report": "chaos.cli.check:report",
    "scenarios": "chaos.cli.scenarios:scenarios",
    "status": "chaos.cli.look:status",
    "strike": "chaos.cli.hands:strike",
    "switchover": "chaos.cli.hands:switchover",
    "topologies": "chaos.cli.topologies:topologies",
    "up": "chaos.cli.up:up",
    "watch": "chaos.cli.look:watch",
    "witness": "chaos.cli.witness:witness",
}
"""Where each subcommand is: its module is loaded when it is asked for, since all of them together
take a second."""


class _Subcommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = resolve_name(COMMANDS[cmd_name])
        assert isinstance(found, click.Command)
        return found


@click.group(
    cls=_Subcommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(version("bascule"), prog_name="bascule")
def bascule() -> None:
    """Prove that a PostgreSQL cluster on several sites survives.

    bascule raises the sites with real Patroni, PostgreSQL and etcd, sealed off on this machine and
    without root, breaks them, and returns a verdict with its evidence.

    \b
    Begin with:
      bascule drill            the loss of the primary's host
      bascule scenarios        what else can be broken
      bascule up               sites that stay, to be broken by hand
    """
