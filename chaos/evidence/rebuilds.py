"""``rebuilt/`` of a run folder: how a destroyed cluster was restored, written and read here.

``1.json``, ``2.json``, ...: what the point in time was, when everything was gone, and how the
cluster came back (docs/reference/run-folder.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.evidence.restores import moment_of_label, timeline_of_label
from chaos.evidence.whole_file import write_whole

REBUILT = "rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """A cluster that lost all its data, and was restored in place. Moments are of the clock of the
    run."""

    entry: str
    """The id of the entry of the ledger that names the point in time."""
    xid: str
    """The transaction that wrote it."""
    age_s: float
    """How old the entry was when it was named, by the clock of the server."""
    named_s: float
    """When it was seen on the primary."""
    named_timeline: int
    """The timeline of the primary then."""
    bindir: str = ""
    """Where the hosts have PostgreSQL's programs."""
    dead_s: float | None = None
    """Nothing of the cluster ran any more; None: it was not destroyed."""
    host: str | None = None
    """Whose backup was restored; None: none was."""
    begin_s: float | None = None
    """When the restore was begun: nothing was copied yet."""
    recovered_s: float | None = None
    """When the restored server had recovered up to the point, and let in nobody but its restorer.
    """
    withdrawn_again: tuple[str, ...] = ()
    """The probes of the rights that were withdrawn once more, before anybody was let in."""
    erased_again: tuple[str, ...] = ()
    """The operations of the load that erased something, done once more, before anybody was let in.
    """
    primary_s: float | None = None
    """When the restored data had a primary of Patroni again; None: it never had."""
    timeline: int | None = None
    """Its timeline then."""
    backup_label: str = ""
    """Of the backup, as PostgreSQL wrote it (manual, 25.3.4)."""
    error: str | None = None
    """Why it could not be restored; None: it was, or nobody has tried yet."""

    @property
    def point_s(self) -> float:
        """About when the entry was written; what came later is to be gone."""
        return self.named_s - self.age_s

    @property
    def took_s(self) -> float | None:
        """From the begin of the restore until there was a primary; None: there never was."""
        if self.begin_s is None or self.primary_s is None:
            return None
        return self.primary_s - self.begin_s

    @property
    def backup_timeline(self) -> int | None:
        """The timeline on which the backup was taken; None: its label does not say."""
        return timeline_of_label(self.backup_label)

    @property
    def backed_up_at(self) -> datetime | None:
        """When the backup was begun; None: its label does not say."""
        return moment_of_label(self.backup_label)


def write_rebuild(folder: Path, number: int, rebuild: Rebuild) -> None:
    """Write ``<number>.json`` into the run folder, whole or not at all; again as more is known."""
    (folder / REBUILT).mkdir(exist_ok=True)
    text = json.dumps(encode(rebuild), indent=1, ensure_ascii=False)
    write_whole(folder / REBUILT / f"{number}.json", f"{text}\n")


def read_rebuilds(folder: Path, damage: list[str]) -> tuple[Rebuild, ...]:
    """Every one of a run folder that can be read, in order; ``damage`` says what is wrong with the
    others."""
    found: list[Rebuild] = []
    for path in sorted(
        (folder / REBUILT).glob("*.json"), key=lambda one: (len(one.stem), one.stem)
    ):
        try:
            found.append(decode(Rebuild, json.loads(path.read_bytes())))
        except (OSError, ValueError, RecursionError, FormatError) as error:
            damage.append(f"{path.relative_to(folder)}: {error}")
    return tuple(found)
