"""``bascule enter``: a look into the lab of a drill that is running, or was kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from chaos.drill.outside import LAB_PID
from chaos.errors import RunFolderError
from cluster.binaries import find_binaries
from cluster.lab.look import look_command, look_environment
from cluster.topology.load import load_topology

SHELL = ("sh",)


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--on", "host", metavar="HOST", help="Be in the network of this host.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def enter(*, run: Path, host: str | None, command: tuple[str, ...]) -> None:
    """Run a command, or a shell, inside a lab that is up.

    \b
    bascule enter RUN                           a shell in the lab
    bascule enter --on db-paris RUN psql        in the network of a host
    bascule enter --on db-paris RUN patronictl list

    RUN is the run folder of a drill that is running, or was kept with --keep (psql needs that).
    """
    try:
        pid = int((run / LAB_PID).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError) as error:
        words = f"{run}: no lab is up there; bascule drill --keep leaves one up after its verdict"
        raise RunFolderError(words, folder=run) from error
    topology = load_topology(run / "topology.toml")
    names = [one.name for one in topology.hosts]
    if host is not None and host not in names:
        raise RunFolderError(f"no host {host} in this lab; it has {', '.join(names)}", folder=run)
    environment = look_environment(
        topology,
        run.resolve() / "config",
        find_binaries().pg_bindir,
        Path(sys.executable).parent,
        host,
    )
    argv = look_command(pid, host, command or SHELL)
    os.execvpe(argv[0], argv, {**os.environ, **environment})
