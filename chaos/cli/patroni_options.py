"""The options that change a topology's settings of Patroni: of every command that raises one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = (
    click.option("--ttl", "ttl_s", type=int, metavar="S", help="Patroni's ttl, at least 20."),
    click.option("--loop-wait", "loop_wait_s", type=int, metavar="S", help="Patroni's loop_wait."),
    click.option(
        "--retry-timeout", "retry_timeout_s", type=int, metavar="S", help="Patroni's retry_timeout."
    ),
    click.option(
        "--witness/--no-witness",
        default=None,
        help="Witnesses beside etcd, which replace a dead primary before its ttl (bascule witness)."
        " [default: the topology's]",
    ),
)
"""In the order in which ``--help`` shows them."""


def patroni_options(command: Command) -> Command:
    """Give a command these options, in the place of this decorator."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
