"""A folder of backups, on the disk of another site: taken, verified, made data again, pruned.

PostgreSQL's own programs do all of it. The layout::

    base/<name>/        a backup, as pg_basebackup leaves it
    base/<name>.json    its record: it is there once the backup was verified, and not before
    wal/                the archive (``pg_receivewal``), where there is one
    backups.prom        what Prometheus' node_exporter reads (textfile collector)
    lock                one command at a time
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from cluster.backups.catalogue import (
    BackupRecord,
    chain,
    first_segment,
    is_name,
    name_of,
    newest_good,
    parent_for,
    to_delete,
)
from cluster.errors import BackupError, PrerequisiteError

Incremental = Literal["auto", "always", "never"]
INCREMENTAL_MIN = 17
"""The first PostgreSQL with ``pg_basebackup --incremental`` (release notes 17)."""
SUMMARIES_OFF = (
    "\n  remedy: set summarize_wal = on on every member (patronictl edit-config), and take a full "
    "backup first"
)
WORDS_MAX = 2000
_SEGMENT = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$", re.MULTILINE)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
METRICS = """\
# HELP bascule_backup_last_good_timestamp_seconds When the newest backup that can be restored began.
# TYPE bascule_backup_last_good_timestamp_seconds gauge
bascule_backup_last_good_timestamp_seconds {newest_s:.0f}
# HELP bascule_backup_good Backups that can be restored.
# TYPE bascule_backup_good gauge
bascule_backup_good {good}
# HELP bascule_backup_broken Backups that were found broken.
# TYPE bascule_backup_broken gauge
bascule_backup_broken {broken}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a command has done."""

    record: BackupRecord
    took_s: float
    fell_back: str | None = None
    """Why the backup is full although an incremental one was due; None: it was not."""
    deleted: tuple[str, ...] = ()


class BackupStore:
    """One folder.

    Args:
        folder: is made where it is missing.
        bindir: PostgreSQL's programs; None: those on PATH.
    """

    def __init__(self, folder: Path, bindir: Path | None = None) -> None:
        self.folder = folder
        self._bindir = bindir

    def backups(self) -> tuple[BackupRecord, ...]:
        """Every backup that has a record, the oldest first.

        Raises:
            BackupError: a record cannot be read.
        """
        found = [_read(path) for path in sorted((self.folder / "base").glob("*.json"))]
        return tuple(sorted(found, key=lambda one: (one.begun_s, one.name)))

    def take(
        self,
        source: str,
        *,
        incremental: Incremental = "auto",
        full_every_s: float = 7 * 86_400.0,
        keep: int | None = None,
    ) -> Taken:
        """Take a backup, verify it, and delete what is older than asked.

        Args:
            source: what to connect to (libpq's conninfo).
            incremental: ``auto``: on the newest good backup, unless a full one is due or the server
                cannot; ``always``: or fail; ``never``: full.
            full_every_s: with ``auto``, the age of a full backup from which on one is due again.
            keep: how many good full backups; None: all.

        Raises:
            PrerequisiteError: the programs are missing, or too old for what was asked.
            BackupError: the backup could not be taken, or is not what its manifest says. What there
                was before is there still.
        """
        with self._locked():
            self._sweep()
            backups = self.backups()
            parent, fell_back = self._parent(backups, incremental, full_every_s)
            begin_s = time.monotonic()
            try:
                record = self._take_one(source, parent)
            except BackupError as error:
                if parent is None or incremental == "always":
                    raise
                fell_back = str(error)
                record = self._take_one(source, None)
            took_s = time.monotonic() - begin_s
            deleted = () if keep is None else self._prune(keep)
            self._tell()
            return Taken(record=record, took_s=took_s, fell_back=fell_back, deleted=deleted)

    def verify(self) -> tuple[BackupRecord, ...]:
        """Compare every backup with its manifest once more, and note what was found; them all."""
        with self._locked():
            found = []
            for one in self.backups():
                try:
                    self._verify(self._home(one.name))
                except BackupError as error:
                    one = replace(one, broken=str(error).splitlines()[0])  # noqa: PLW2901
                else:
                    one = replace(one, broken=None, verified_s=time.time())  # noqa: PLW2901
                self._write(one)
                found.append(one)
            self._tell()
            return tuple(found)

    def restore(self, data: Path, name: str | None = None) -> tuple[BackupRecord, ...]:
        """Make a data folder of a backup and all that it stands on; those, the full one first.

        The folder has ``recovery.signal``: a server that is started on it must be told its
        ``restore_command`` and its target.

        Args:
            data: must not exist, or be empty.
            name: which; None: the newest good one.

        Raises:
            BackupError: there is none, one is not what its manifest says, or ``data`` is in use.
        """
        with self._locked():
            backups = self.backups()
            if name is None:
                newest = newest_good(backups)
                if newest is None:
                    raise BackupError(f"{self.folder}: there is no backup that can be restored")
                name = newest.name
            needed = chain(backups, name)
            if data.exists() and any(data.iterdir()):
                raise BackupError(f"{data} is not empty: a data folder is made anew, not over one")
            for one in needed:
                self._verify(self._home(one.name))
            homes = [str(self._home(one.name)) for one in needed]
            if len(homes) == 1:
                shutil.copytree(homes[0], data, symlinks=True, dirs_exist_ok=True)
            else:
                self._run("pg_combinebackup", "--output", str(data), *homes)
                self._verify(data)
            data.chmod(0o700)
            (data / "recovery.signal").touch(mode=0o600)
            return needed

    def _parent(
        self, backups: Sequence[BackupRecord], incremental: Incremental, full_every_s: float
    ) -> tuple[BackupRecord | None, str | None]:
        """What to stand on, and why on nothing where something was wanted."""
        if incremental == "never":
            return None, None
        version, words = self._version()
        if version < INCREMENTAL_MIN:
            why = f"incremental backups need PostgreSQL {INCREMENTAL_MIN} or later; found {words}"
            if incremental == "always":
                raise PrerequisiteError(f"{why}\n  remedy: take full ones (--incremental never)")
            return None, why
        if incremental == "auto":
            return parent_for(backups, time.time(), full_every_s), None
        newest = newest_good(backups)
        if newest is None:
            raise BackupError(f"{self.folder}: there is no good backup that one could stand on")
        return newest, None

    def _take_one(self, source: str, parent: BackupRecord | None) -> BackupRecord:
        begun_s = time.time()
        name = name_of(begun_s, None if parent is None else parent.name)
        home = self._home(name)
        if home.exists():
            raise BackupError(f"{home} is there already: take one backup after another")
        options = [f"--pgdata={home}", "--no-password", "--checkpoint=fast", "--wal-method=stream"]
        if parent is not None:
            options.append(f"--incremental={self._home(parent.name) / 'backup_manifest'}")
        try:
            self._run("pg_basebackup", *options, f"--label=bascule {name}", f"--dbname={source}")
            self._verify(home)
        except BackupError:
            shutil.rmtree(home, ignore_errors=True)
            raise
        record = BackupRecord(
            name=name,
            begun_s=begun_s,
            verified_s=time.time(),
            version=self._version()[1],
            wal_segment=_first_segment_of(home),
            parent=None if parent is None else parent.name,
        )
        self._write(record)
        return record

    def _prune(self, keep: int) -> tuple[str, ...]:
        gone = to_delete(self.backups(), keep)
        for one in gone:
            # The record first: what is half deleted is no backup any more, and is swept next time.
            self._record(one.name).unlink()
            shutil.rmtree(self._home(one.name))
        oldest = first_segment(self.backups())
        if gone and oldest is not None and (self.folder / "wal").is_dir():
            self._run("pg_archivecleanup", str(self.folder / "wal"), oldest)
        return tuple(one.name for one in gone)

    def _sweep(self) -> None:
        """Remove what a command that was interrupted has left: folders without a record."""
        base = self.folder / "base"
        for home in [one for one in base.iterdir() if one.is_dir() and is_name(one.name)]:
            if not self._record(home.name).exists():
                shutil.rmtree(home)

    def _verify(self, home: Path) -> None:
        self._run("pg_verifybackup", "--quiet", str(home))

    def _tell(self) -> None:
        backups = self.backups()
        newest = newest_good(backups)
        broken = sum(one.broken is not None for one in backups)
        text = METRICS.format(
            newest_s=0.0 if newest is None else newest.begun_s,
            good=len(backups) - broken,
            broken=broken,
        )
        _write_whole(self.folder / "backups.prom", text)

    def _home(self, name: str) -> Path:
        return self.folder / "base" / name

    def _record(self, name: str) -> Path:
        return self.folder / "base" / f"{name}.json"

    def _write(self, record: BackupRecord) -> None:
        _write_whole(self._record(record.name), f"{json.dumps(asdict(record), indent=1)}\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if (self.folder / "PG_VERSION").exists():
            raise BackupError(f"{self.folder} is the data folder of a server; give another one")
        (self.folder / "base").mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BackupError(f"{self.folder}: another bascule backup is at work") from error
            yield

    def _version(self) -> tuple[int, str]:
        """Of the programs: the major version, and the whole."""
        found = _VERSION.search(self._run("pg_basebackup", "--version"))
        if found is None:
            raise PrerequisiteError("pg_basebackup does not say its version")
        return int(found[1]), f"{found[1]}{found[2]}"

    def _run(self, program: str, *arguments: str) -> str:
        """What a program says.

        Raises:
            PrerequisiteError: it is missing.
            BackupError: it failed; with its words.
        """
        path = program if self._bindir is None else str(self._bindir / program)
        try:
            done = subprocess.run(
                [path, *arguments], capture_output=True, text=True, check=False, umask=0o077
            )
        except FileNotFoundError as error:
            raise PrerequisiteError(
                f"{path} was not found.\n  remedy: install PostgreSQL's client programs and server "
                "programs, or give --pg-bindir"
            ) from error
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}"
            words = said[-WORDS_MAX:]
            remedy = SUMMARIES_OFF if "summariz" in words.lower() else ""
            raise BackupError(f"{program}: {words}{remedy}")
        return done.stdout


def _first_segment_of(home: Path) -> str:
    label = (home / "backup_label").read_text(encoding="utf-8")
    found = _SEGMENT.search(label)
    if found is None:
        raise BackupError(f"{home}/backup_label does not say where its WAL begins")
    return found[1]


def _read(path: Path) -> BackupRecord:
    try:
        return BackupRecord(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{path} is no record of a backup: {error}") from error


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
