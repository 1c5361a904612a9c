"""What the commands for labs that stay up share: which lab, and how it is said."""

from __future__ import annotations

import sys

import click

from chaos.gameday.labs import LivingLab, the_one

WHICH = "Which lab. [default: the only one that is up]"

NAME = click.argument("name", required=False, metavar="[NAME]", envvar="BASCULE_LAB")
LAB = click.option("--lab", "name", metavar="NAME", envvar="BASCULE_LAB", help=WHICH)


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
