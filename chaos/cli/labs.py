"""What the commands for labs that stay up share: which lab, and how it is said."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from chaos.gameday.labs import LivingLab, the_one

Command = TypeVar("Command", bound=Callable[..., Any])

WHICH = "Which lab. [default: the only one that is up]"

LAB = click.option("--lab", "name", metavar="NAME", envvar="BASCULE_LAB", help=WHICH)


def NAMED(command: Command) -> Command:
    """Give a command ``[NAME]`` beside ``--lab NAME``; it gets whichever was given as ``name``."""

    @functools.wraps(command)
    def with_name(*args: object, given: str | None, name: str | None, **options: object) -> object:
        typed = click.get_current_context().get_parameter_source("name")
        if given and name != given and typed == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"two labs are named: {given}, and --lab {name}; name one")
        return command(*args, name=given or name, **options)

    argument = click.argument("given", required=False, metavar="[NAME]")
    return cast(Command, argument(LAB(with_name)))


def say(text: str) -> None:
    """A word beside the result, for people."""
    print(f"bascule: {text}", file=sys.stderr, flush=True)


def lab_of(name: str | None) -> LivingLab:
    """The lab that is meant.

    Raises:
        LabNameError: none is, or several could be.
        LabDiedError: its supervisor has died.
    """
    return the_one(name, say)


def listed(title: str, lines: str) -> str:
    """A list at the end of a help text, left as it is by click."""
    return f"\b\n{title}\n{lines}"
