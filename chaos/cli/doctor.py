"""``bascule doctor``: is this machine fit for drills?"""

from __future__ import annotations

from pathlib import Path

import click

from cluster.binaries import find_binaries
from cluster.substrates.lab import clocks
from cluster.substrates.lab.disk import prerequisites as disks
from cluster.substrates.lab.prerequisites import check_prerequisites


@click.command()
@click.option(
    "--pg-bindir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="PostgreSQL's programs. [default: the newest found]",
)
def doctor(*, pg_bindir: Path | None) -> None:
    """Say whether this machine can run drills, and which PostgreSQL and etcd they would use."""
    check_prerequisites()
    print("namespaces   allowed")
    binaries = find_binaries(pg_bindir)
    print(f"PostgreSQL   {binaries.postgres.version} in {binaries.pg_bindir}")
    print(f"etcd         {binaries.etcd.version} at {binaries.etcd.path}")
    for faults, lack in (("disk", disks.missing()), ("clock", clocks.missing())):
        print(f"{f'{faults} faults':<12} {'possible' if lack is None else lack}")
    for warning in binaries.warnings:
        print(f"warning      {warning}")
