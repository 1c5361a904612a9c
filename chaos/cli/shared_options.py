"""Options of several commands that raise sites: ``drill``, ``campaign``, ``up``. Each stands once.

Where only the words of the help differ, they are the argument of a function.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from chaos.load.reads import READS_PER_S
from cluster.substrates.registry import DEFAULT, SUBSTRATES

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

RATE_MAX = 5000.0
READS_PER_S_MAX = 100.0
"""More than a few a second measure the load process and not the cluster's promises."""

SUBSTRATE = click.option(
    "--substrate",
    type=click.Choice(list(SUBSTRATES)),
    default=DEFAULT,
    show_default=True,
    help=f"What the sites are made of: {', or '.join(kind.sites for kind in SUBSTRATES.values())}.",
)
READS = click.option(
    "--reads-per-s",
    type=click.FloatRange(0, READS_PER_S_MAX),
    default=READS_PER_S,
    show_default=True,
    metavar="N",
    help="Reads a second and site beside the operations, on the primary and on replicas; 0: none.",
)
PG_BINDIR = click.option(
    "--pg-bindir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="PostgreSQL's programs. [default: the newest found]",
)
QUIET = click.option("--quiet", is_flag=True, help="Show no progress.")
PATRONI = (
    click.option("--ttl", "ttl_s", type=int, metavar="S", help="Patroni's ttl, at least 20."),
    click.option("--loop-wait", "loop_wait_s", type=int, metavar="S", help="Patroni's loop_wait."),
    click.option(
        "--retry-timeout", "retry_timeout_s", type=int, metavar="S", help="Patroni's retry_timeout."
    ),
    click.option(
        "--witness/--no-witness",
        default=None,
        help="Witnesses beside etcd, which replace a dead primary before its ttl (bascule witness)."
        " [default: the scenario's, else the topology's]",
    ),
)
"""What changes a topology's settings of Patroni, in the order in which ``--help`` shows it."""


def patroni_options(command: Command) -> Command:
    """Give a command those of Patroni, in the place of this decorator."""
    for option in reversed(PATRONI):
        command = option(command)
    return command


def durability_option(words: str) -> Decorator[Any]:
    """``--durability``; the words are the end of its help."""
    return click.option(
        "--durability",
        type=click.Choice(["quorum", "async"]),
        help=f"When a commit is acknowledged: quorum waits for a replica. {words}",
    )


def rate_option(words: str, *, default: float | None = None) -> Decorator[Any]:
    """``--rate``: operations a second and site; ``words`` say the default that is no number."""
    return click.option(
        "--rate",
        "rate_per_s",
        type=click.FloatRange(0, RATE_MAX, min_open=True),
        default=default,
        show_default=default is not None,
        metavar="N",
        help=f"Operations a second and site{words}",
    )


def seed_option(words: str) -> Decorator[Any]:
    """``--seed``; the words say what follows from it."""
    return click.option("--seed", type=click.IntRange(min=0), metavar="N", help=words)


def out_option(what: str, default: str) -> Decorator[Any]:
    """``--out``: a folder that is new or empty."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help=f"The {what} folder, new or empty. [default: {default}]",
    )
