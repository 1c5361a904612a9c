"""What the commands for labs that stay up share: which lab, and how it is said."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from chaos.cli.shared_options import Decorator
from chaos.gameday.labs import LivingLab, the_one

WHICH = "Which lab. [default: the only one that is up]"


def lab_option(which: str = WHICH) -> Decorator[Any]:
    """``--lab NAME``, of every command for labs: the command gets it as ``name``."""
    return click.option("--lab", "name", metavar="NAME", envvar="BASCULE_LAB", help=which)


def named_lab(which: str = WHICH) -> Decorator[Any]:
    """``[NAME]`` beside ``--lab NAME``; the command gets whichever was given as ``name``."""

    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_name(
            *args: object, given: str | None, name: str | None, **options: object
        ) -> object:
            typed = click.get_current_context().get_parameter_source("name")
            if given and name != given and typed == ParameterSource.COMMANDLINE:
                raise click.UsageError(f"two labs are named: {given}, and --lab {name}; name one")
            return command(*args, name=given or name, **options)

        with_option: Callable[..., Any] = lab_option(which)(with_name)
        return click.argument("given", required=False, metavar="[NAME]")(with_option)

    return give


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
