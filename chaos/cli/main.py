"""The command group, and what every subcommand shares."""

from __future__ import annotations

from importlib.metadata import version

import click

from chaos.cli.backup import backup
from chaos.cli.campaign import campaign
from chaos.cli.check import check, report
from chaos.cli.compose import compose
from chaos.cli.doctor import doctor
from chaos.cli.drill import drill
from chaos.cli.enter import enter
from chaos.cli.evidence import evidence
from chaos.cli.exporter import exporter
from chaos.cli.hands import heal, load, strike, switchover
from chaos.cli.judge import judge
from chaos.cli.lint import lint_command
from chaos.cli.look import logs, psql, status, watch
from chaos.cli.monitoring import monitoring
from chaos.cli.scenarios import scenarios
from chaos.cli.topologies import topologies
from chaos.cli.up import down, up
from chaos.cli.witness import witness

EPILOG = """\b
Exit codes: 0 passed, 1 findings, 2 usage or configuration, 3 could not run,
4 inconclusive, 130 interrupted.
"""


@click.group(
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


for command in (
    drill,
    campaign,
    scenarios,
    topologies,
    lint_command,
    check,
    report,
    evidence,
    judge,
    up,
    status,
    watch,
    psql,
    strike,
    heal,
    switchover,
    load,
    logs,
    enter,
    down,
    exporter,
    witness,
    backup,
    monitoring,
    compose,
    doctor,
):
    bascule.add_command(command)
