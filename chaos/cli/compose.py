"""``bascule compose``: check and clean up the engine that runs drills in containers."""

from __future__ import annotations

import sys

import click

from chaos.judge.exit_codes import COULD_NOT_RUN
from cluster.substrates.docker.images import sweep_images
from cluster.substrates.docker.leftovers import sweep as sweep_leftovers
from cluster.substrates.docker.prerequisites import check_engine


@click.group()
def compose() -> None:
    """Drills in containers: bascule drill --substrate compose (docs/operate/compose.md)."""


@compose.command()
def check() -> None:
    """Say whether this machine can run drills in containers."""
    engine = check_engine()
    print(f"engine    {engine.version}")
    print(f"compose   {engine.compose}")
    print(f"data      {engine.storage}")


@compose.command()
@click.option(
    "--images",
    "images_too",
    is_flag=True,
    help="Also remove images of other contents than this checkout has now, unless a container runs "
    "from them. Other checkouts then build theirs again.",
)
def sweep(*, images_too: bool) -> None:
    """Remove what drills that were killed left behind, and nothing else.

    A drill cleans up after itself, also after kill -9 of the command. Something is left only when
    all of its processes were killed at once, or the machine stopped.
    """
    check_engine()
    stays: list[str] = []
    removed = [f"{thing.kind} {thing.name}" for thing in sweep_leftovers(stays.append)]
    if images_too:
        removed += [f"image {name}" for name in sweep_images()]
    for words in removed:
        print(f"removed {words}")
    for words in stays:
        print(words, file=sys.stderr)
    if stays:
        sys.exit(COULD_NOT_RUN)
    if not removed:
        print("nothing was left behind")
