"""``bascule doctor``: is this machine fit for drills, or a cluster for witnesses?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from chaos.errors import ChaosError
from chaos.judge.exit_codes import COULD_NOT_RUN, FINDINGS, PASSED
from cluster.binaries import find_binaries
from cluster.substrates.lab import clocks
from cluster.substrates.lab.disk import prerequisites as disks
from cluster.substrates.lab.prerequisites import check_prerequisites
from replication.access.problems import ConfigError
from replication.witness.config import SECTION, load_witness_config
from replication.witness.examine import examine
from replication.witness.fitness import Remark, is_fit, remarks


@click.command()
@click.option(
    "--pg-bindir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="PostgreSQL's programs. [default: the newest found]",
)
@click.option(
    "--cluster",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Look at a Patroni cluster instead: would witnesses help it, and what should change?"
    " FILE is a witness's (bascule witness --config). Nothing is written.",
)
@click.option(
    "--section", default=SECTION, show_default=True, metavar="NAME", help="The table of --cluster."
)
@click.option("--json", "as_json", is_flag=True, help="Print what --cluster finds as JSON.")
def doctor(*, pg_bindir: Path | None, cluster: Path | None, section: str, as_json: bool) -> None:
    """Say whether this machine can run drills, and which PostgreSQL and etcd they would use.

    With --cluster, the exit code is 0 if witnesses can act for that cluster, 1 if not, 2 if FILE is
    wrong, 3 if its etcd cannot be read.
    """
    if cluster is not None:
        _of_cluster(cluster, section, as_json=as_json)
    if as_json:
        raise click.UsageError("--json needs --cluster")
    check_prerequisites()
    print("namespaces   allowed")
    binaries = find_binaries(pg_bindir)
    print(f"PostgreSQL   {binaries.postgres.version} in {binaries.pg_bindir}")
    print(f"etcd         {binaries.etcd.version} at {binaries.etcd.path}")
    for faults, lack in (("disk", disks.missing()), ("clock", clocks.missing())):
        print(f"{f'{faults} faults':<12} {'possible' if lack is None else lack}")
    for warning in binaries.warnings:
        print(f"warning      {warning}")


def _of_cluster(path: Path, section: str, *, as_json: bool) -> None:
    """Says what it finds, and ends with its exit code."""
    try:
        config = load_witness_config(path, section)
        config.check_tls()
    except ConfigError as error:
        raise ChaosError(str(error)) from error
    seen = anyio.run(examine, config)
    found = remarks(seen)
    if as_json:
        document = {"fit": is_fit(found), "remarks": [asdict(one) for one in found]}
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(found)))
    if seen.reading is None:
        sys.exit(COULD_NOT_RUN)
    sys.exit(PASSED if is_fit(found) else FINDINGS)


def lines(found: Sequence[Remark]) -> Iterator[str]:
    """What is said on a terminal."""
    width = max(len(one.about) for one in found)
    for one in found:
        yield f"{one.grade:<7} {one.about:<{width}}  {one.words}"
        if one.remedy:
            yield f"{'':<7} {'':<{width}}  -> {one.remedy}"
    yield ""
    bad = sum(one.grade == "bad" for one in found)
    if bad:
        yield f"not fit for witnesses yet: {bad} to mend (bad)"
    else:
        yield "witnesses can act for this cluster; begin with --dry-run"
