"""What backups there are, which stand on which, and which may go. Pure.

An incremental backup has only the blocks that changed since its parent, which is full or
incremental itself: without all of its ancestors it is worthless. So backups come and go by
families: a full one, and everything that stands on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.errors import BackupError

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-(full|incremental)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRecord:
    """One backup that was taken to its end and verified."""

    name: str
    """Its moment in UTC, so that names sort by age: ``20261127T143000.123Z-full``."""
    begun_s: float
    """Unix time."""
    verified_s: float
    """When its files were last what its manifest says; Unix time."""
    version: str
    """Of PostgreSQL's programs that took it."""
    wal_segment: str
    """The first that a restore of it needs."""
    parent: str | None = None
    """None: it is full."""
    broken: str | None = None
    """Why it is no good any more; None: it was good when it was last looked at."""

    @property
    def is_full(self) -> bool:
        """It stands on no other."""
        return self.parent is None


def name_of(begun_s: float, parent: str | None) -> str:
    """The name of a backup that is begun now."""
    moment = datetime.fromtimestamp(begun_s, UTC)
    kind = "full" if parent is None else "incremental"
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{kind}"


def is_name(text: str) -> bool:
    """A backup of ours has such a name."""
    return _NAME.fullmatch(text) is not None


def chain(backups: Iterable[BackupRecord], name: str) -> tuple[BackupRecord, ...]:
    """What a restore of a backup needs: the full one first, itself last.

    Raises:
        BackupError: there is no such backup, an ancestor is missing, or one of them is broken.
    """
    known = {one.name: one for one in backups}
    found: list[BackupRecord] = []
    wanted: str | None = name
    while wanted is not None:
        if wanted not in known:
            stands_on = f", on which {found[-1].name} stands" if found else ""
            raise BackupError(f"there is no backup {wanted}{stands_on}")
        one = known[wanted]
        if one.broken is not None:
            raise BackupError(f"the backup {one.name} is no good: {one.broken}")
        if one in found:
            raise BackupError(f"the backups {one.name} and {name} stand on each other")
        found.append(one)
        wanted = one.parent
    return tuple(reversed(found))


def is_good(backups: Sequence[BackupRecord], one: BackupRecord) -> bool:
    """It can be restored: it and all that it stands on."""
    try:
        chain(backups, one.name)
    except BackupError:
        return False
    return True


def newest_good(backups: Sequence[BackupRecord]) -> BackupRecord | None:
    """The newest that can be restored; None: there is none."""
    good = [one for one in backups if is_good(backups, one)]
    return max(good, key=lambda one: (one.begun_s, one.name), default=None)


def parent_for(
    backups: Sequence[BackupRecord], now_s: float, full_every_s: float
) -> BackupRecord | None:
    """What an incremental backup is to stand on now; None: a full one is due.

    Args:
        backups: all that there are.
        now_s: Unix time.
        full_every_s: the age of a full backup from which on nothing new is to stand on it.
    """
    newest = newest_good(backups)
    if newest is None or now_s - chain(backups, newest.name)[0].begun_s >= full_every_s:
        return None
    return newest


def to_delete(backups: Sequence[BackupRecord], keep: int) -> tuple[BackupRecord, ...]:
    """What retention may delete: whole families, the youngest of each first, so that whatever
    interrupts it leaves no incremental without its full one.

    Kept are the ``keep`` newest full backups that are good, and all that stands on them. So the
    last good full backup is always kept; where none is good, nothing is deleted, since what is
    broken may be all that is left to repair. Broken families older than the oldest kept one go.

    Args:
        backups: all that there are.
        keep: how many good full backups, at least 1.
    """
    good = sorted(
        (one for one in backups if one.is_full and is_good(backups, one)),
        key=lambda one: one.begun_s,
    )
    if keep < 1 or not good:
        return ()
    oldest_kept = good[-keep:][0]
    old = {one.name for one in backups if one.is_full and one.begun_s < oldest_kept.begun_s}
    family = {one.name: _root(backups, one) for one in backups}
    gone = [one for one in backups if family[one.name] in old]
    return tuple(sorted(gone, key=lambda one: one.begun_s, reverse=True))


def first_segment(backups: Sequence[BackupRecord]) -> str | None:
    """The oldest WAL segment that a restore of any of these needs; None: there are none.

    Segments are ordered by their place in the WAL, whatever their timeline (its first 8 digits).
    """
    segments = [one.wal_segment for one in backups]
    return min(segments, key=lambda one: (one[8:], one[:8]), default=None)


def _root(backups: Sequence[BackupRecord], one: BackupRecord) -> str | None:
    """The full backup that one stands on; None: an ancestor is missing."""
    known = {each.name: each for each in backups}
    seen = set[str]()
    while one.parent is not None:
        if one.name in seen or one.parent not in known:
            return None
        seen.add(one.name)
        one = known[one.parent]
    return one.name
