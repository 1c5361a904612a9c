"""``restored/`` of a run folder: each restore that was tested, written and read here.

Each test has a folder of its own, ``1``, ``2``, ...: ``<host>.json`` says what was restored and
when, ``final-<host>.jsonl`` what it held (docs/reference/run-folder.md).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.evidence.final_reads import read_final
from chaos.evidence.records import FinalRead
from chaos.evidence.whole_file import write_whole

RESTORED = "restored"
_START_TIME = re.compile(r"^START TIME: (\S+ \S+) UTC$", re.MULTILINE)
_START_TIMELINE = re.compile(r"^START TIMELINE: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRecord:
    """How a restore came to be. Moments are of the clock of the run."""

    host: str
    """Where the backup was, and was restored."""
    entry: str
    """The id of the entry of the ledger that names the point in time."""
    xid: str
    """The transaction that wrote it."""
    named_s: float
    """When it was seen on the primary."""
    named_timeline: int
    """The timeline of the primary then."""
    begin_s: float
    """When the restore was begun: nothing was copied yet."""
    usable_s: float | None = None
    """When the restored server took a session that may write; None: it never did."""
    timeline: int | None = None
    """Its timeline then."""
    backup_label: str = ""
    """Of the backup, as PostgreSQL wrote it (manual, 25.3.4)."""
    error: str | None = None
    """Why nothing was restored; None: something was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A restore, and what it held."""

    record: RestoreRecord
    read: FinalRead | None
    """None where nothing was restored, or the file with it is not whole."""

    @property
    def took_s(self) -> float | None:
        """From its begin until it could be used; None: it never could."""
        usable_s = self.record.usable_s
        return None if usable_s is None else usable_s - self.record.begin_s

    @property
    def backup_timeline(self) -> int | None:
        """The timeline on which the backup was taken; None: its label does not say."""
        return timeline_of_label(self.record.backup_label)

    @property
    def backed_up_at(self) -> datetime | None:
        """When the backup was begun; None: its label does not say, or in another zone."""
        return moment_of_label(self.record.backup_label)


def timeline_of_label(label: str) -> int | None:
    """The timeline on which a backup was taken, by its label; None: it does not say."""
    found = _START_TIMELINE.search(label)
    return None if found is None else int(found.group(1))


def moment_of_label(label: str) -> datetime | None:
    """When a backup was begun, by its label; None: it does not say, or in another zone."""
    found = _START_TIME.search(label)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found.group(1)).replace(tzinfo=UTC)
    except ValueError:
        return None


def new_test(run_folder: Path) -> Path:
    """Make the folder of one more test."""
    restored = run_folder / RESTORED
    restored.mkdir(exist_ok=True)
    folder = restored / str(1 + sum(one.is_dir() for one in restored.iterdir()))
    folder.mkdir()
    return folder


def write_restore(folder: Path, record: RestoreRecord) -> None:
    """Write ``<host>.json`` into the folder of a test, whole or not at all."""
    text = json.dumps(encode(record), indent=1, ensure_ascii=False)
    write_whole(folder / f"{record.host}.json", f"{text}\n")


def read_restores(folder: Path, damage: list[str]) -> tuple[Restore, ...]:
    """Every restore of a run folder whose record can be read, by test and host.

    ``damage`` says what is wrong with the others, and with what they held.
    """
    found: list[Restore] = []
    for path in sorted((folder / RESTORED).glob("*/*.json")):
        try:
            record = decode(RestoreRecord, json.loads(path.read_bytes()))
        except (OSError, ValueError, RecursionError, FormatError) as error:
            damage.append(f"{path.relative_to(folder)}: {error}")
            continue
        read = None if record.error is not None else _read(folder, path, damage)
        found.append(Restore(record=record, read=read))
    return tuple(found)


def _read(folder: Path, record: Path, damage: list[str]) -> FinalRead | None:
    path = record.with_name(f"final-{record.stem}.jsonl")
    name = path.relative_to(folder)
    if not path.is_file():
        damage.append(f"{name}: is missing")
        return None
    found: list[str] = []
    read = read_final(path, record.stem, found)
    damage += [f"{name.parent}/{one}" for one in found]
    return read
