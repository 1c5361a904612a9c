"""``bascule compose``: what concerns the engine that carries drills in containers."""

from __future__ import annotations

import click

from cluster.compose.engine import check_engine
from cluster.compose.keeper import sweep as sweep_leftovers


@click.group()
def compose() -> None:
    """Drills in containers: bascule drill --substrate compose (docs/compose.md)."""


@compose.command()
def check() -> None:
    """Say whether this machine can run drills in containers."""
    engine = check_engine()
    print(f"engine    {engine.version}")
    print(f"compose   {engine.compose}")
    print(f"data      {engine.storage}")


@compose.command()
def sweep() -> None:
    """Remove what drills that were killed left behind, and nothing else.

    A drill cleans up after itself, also after kill -9 of the command; only when all of its
    processes were killed at once, or the machine was, is something left.
    """
    check_engine()
    left = sweep_leftovers()
    for thing in left:
        print(f"removed {thing.kind} {thing.name}")
    if not left:
        print("nothing was left behind")
