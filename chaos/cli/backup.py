"""``bascule backup``: backups as an operator takes them (docs/operate/backup.md)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from chaos.judge.exit_codes import FINDINGS
from cluster.backups.catalogue import BackupRecord, is_good
from cluster.backups.store import BackupStore, Incremental

DAY_S = 86_400.0
_FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
_BINDIR = click.option(
    "--pg-bindir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="PostgreSQL's programs; else those on PATH.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


@click.group()
def backup() -> None:
    """Take, verify, restore and prune backups of a cluster, in a FOLDER on another site's disk.

    PostgreSQL's own programs do the work: pg_basebackup, pg_verifybackup, pg_combinebackup and
    pg_archivecleanup. Passwords come from where libpq has them (PGPASSFILE, PGPASSWORD).
    """


@backup.command()
@_FOLDER
@click.option(
    "--from",
    "source",
    required=True,
    metavar="CONNINFO",
    help='Whom to copy: "host=db1,db2 user=replicator target_session_attrs=primary".',
)
@click.option(
    "--incremental",
    type=click.Choice(get_args(Incremental)),
    default="auto",
    show_default=True,
    help="On the newest good backup, from PostgreSQL 17 on. auto: unless a full one is due.",
)
@click.option(
    "--full-every-days",
    type=click.FloatRange(min=0.0, min_open=True),
    default=7.0,
    show_default=True,
    metavar="DAYS",
    help="With auto: when a full backup is due again.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the N newest good full backups with all that stands on them, and delete older ones "
    "and the WAL that nothing kept needs. Without it nothing is deleted.",
)
@_BINDIR
@_JSON
def take(  # noqa: PLR0913 - one argument an option
    *,
    folder: Path,
    source: str,
    incremental: Incremental,
    full_every_days: float,
    keep: int | None,
    pg_bindir: Path | None,
    as_json: bool,
) -> None:
    """Take a backup into FOLDER and verify it; one that fails leaves what was there as it was."""
    taken = BackupStore(folder, pg_bindir).take(
        source,
        incremental=incremental,
        full_every_s=full_every_days * DAY_S,
        keep=keep,
    )
    if as_json:
        print(json.dumps(asdict(taken), indent=2))
        return
    if taken.fell_back is not None:
        print(f"a full backup instead of an incremental one: {taken.fell_back}", file=sys.stderr)
    print(f"{taken.record.name}: taken and verified in {taken.took_s:.1f} s")
    for name in taken.deleted:
        print(f"{name}: deleted")


@backup.command("list")
@_FOLDER
@_JSON
def list_(*, folder: Path, as_json: bool) -> None:
    """Every backup in FOLDER, the oldest first, and whether it could be restored when last seen."""
    _show(BackupStore(folder).backups(), as_json)


@backup.command()
@_FOLDER
@_BINDIR
@_JSON
def verify(*, folder: Path, pg_bindir: Path | None, as_json: bool) -> None:
    """Compare every backup in FOLDER with its manifest; exit code 1 if one is broken."""
    found = BackupStore(folder, pg_bindir).verify()
    _show(found, as_json)
    if not all(is_good(found, one) for one in found):
        sys.exit(FINDINGS)


@backup.command()
@_FOLDER
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The data folder to make; it must not exist, or be empty.",
)
@click.option("--name", metavar="NAME", help="Which backup; else the newest good one.")
@_BINDIR
def restore(*, folder: Path, data: Path, name: str | None, pg_bindir: Path | None) -> None:
    """Make a data folder of a backup in FOLDER and of all that it stands on.

    The server that is started on it recovers: it must be told its restore_command and its target
    (recovery_target_time, _xid, _name or _lsn), and must not be reachable by others before rights
    that were withdrawn since are withdrawn again.
    """
    needed = BackupStore(folder, pg_bindir).restore(data, name)
    print(f"{data}: made of {', '.join(one.name for one in needed)}, verified")
    print(f"set  restore_command = 'cp {folder.resolve()}/wal/%f %p'  and a recovery_target")


def _show(backups: tuple[BackupRecord, ...], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in backups], indent=2))
        return
    if not backups:
        print("no backup")
    for one in backups:
        begun = datetime.fromtimestamp(one.begun_s, UTC)
        stands = "full" if one.parent is None else f"on {one.parent}"
        state = "good" if is_good(backups, one) else f"BROKEN {one.broken or 'by its parent'}"
        print(f"{one.name:32}  {begun:%Y-%m-%d %H:%M:%S} UTC  {stands:36}  {state}")
