"""How large a warehouse is, and whether this machine has room for it. Pure, but for ``measure``.

The rows a patient are rounder than any hospital's; what French warehouses report lies around them:
5 to 20 stays, 4 to 23 diagnoses, 70 to 480 measurements and 10 to 50 documents a patient
(openneuroscience.org on AP-HP, OHDSI sites' own figures). ``full`` has as many patients as the
warehouse that Bascule was made for, and few enough measurements to be loaded within a minute.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import PreflightError
from chaos.workloads.warehouse.tables import (
    CARE_SITE,
    CONCEPT,
    CONDITION,
    DEATH,
    DRUG,
    EPISODE,
    MEASUREMENT,
    NOTE,
    OBSERVATION_PERIOD,
    PATIENT,
    PERSON,
    PROCEDURE,
    SPECIMEN,
    VISIT,
    OmopTable,
)

MB = 1e6

ROWS_PER_HUNDRED: Mapping[str, int] = {
    PATIENT.name: 100,
    PERSON.name: 100,
    OBSERVATION_PERIOD.name: 100,
    VISIT.name: 500,
    CONDITION.name: 400,
    PROCEDURE.name: 200,
    DRUG.name: 700,
    MEASUREMENT.name: 1800,
    NOTE.name: 50,
    SPECIMEN.name: 25,
    EPISODE.name: 50,
    DEATH.name: 15,
}
"""Rows a hundred patients; 40.4 a patient."""

FIXED_ROWS: Mapping[str, int] = {CONCEPT.name: 96, CARE_SITE.name: 12}

BYTES_A_PATIENT_OF_NODE = 4_900
"""On disk, with keys and indexes: ``benchmarks/warehouse.py`` found 2,816 MB for ``full`` and
290 MB for ``drill``, which are 4,693 and 4,833 a patient."""
WAL_BYTES_A_PATIENT = 5_200
"""Written to each node while it is loaded; a checkpoint gives it back, once there is one."""
CLIENT_BYTES = 400e6
"""Of the process that generates: the visits, and three chunks. ``benchmarks/warehouse.py`` found
386 MB for ``full``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A size with a name."""

    name: str
    patients: int

    def rows(self, table: OmopTable) -> int:
        """How many a table gets."""
        if table.name in FIXED_ROWS:
            return FIXED_ROWS[table.name]
        return self.patients * ROWS_PER_HUNDRED[table.name] // 100

    def bytes_needed(self, nodes: int, wal_max_bytes: float) -> float:
        """Disk of all nodes together.

        Args:
            nodes: how many are on the disk.
            wal_max_bytes: ``max_wal_size``; PostgreSQL may keep about so much WAL a node, and twice
                that while a checkpoint is under way.
        """
        wal = min(self.patients * WAL_BYTES_A_PATIENT, 2 * wal_max_bytes)
        return nodes * (self.patients * BYTES_A_PATIENT_OF_NODE + wal)


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(name="smoke", patients=6_000),
        Profile(name="drill", patients=60_000),
        Profile(name="full", patients=600_000),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free, in bytes."""

    memory: float
    disk: float
    disk_is_memory: bool
    """The disk is a tmpfs: what it takes is taken from the memory."""


def measure(folder: Path) -> Room:
    """What is free for data in ``folder``."""
    kind = _file_system(folder)
    return Room(
        memory=_available_memory(),
        disk=float(shutil.disk_usage(folder).free),
        disk_is_memory=kind in ("tmpfs", "ramfs"),
    )


def require_room(profile: Profile, room: Room, *, nodes: int, wal_max_bytes: float) -> None:
    """Refuse a profile that would fill the machine.

    Raises:
        PreflightError: with what it needs, what there is, and the remedy.
    """
    disk = profile.bytes_needed(nodes, wal_max_bytes)
    memory = CLIENT_BYTES + (disk if room.disk_is_memory else 0.0)
    short = []
    if disk > room.disk:
        short.append(f"{_gb(disk)} of disk, and {_gb(room.disk)} are free")
    if memory > room.memory:
        where = ", because its data is kept in memory," if room.disk_is_memory else ""
        short.append(f"{_gb(memory)} of memory{where} and {_gb(room.memory)} are free")
    if short:
        smaller = [p.name for p in PROFILES.values() if p.patients < profile.patients]
        remedy = f"; use the profile {smaller[-1]}, or a machine with more" if smaller else ""
        needs = " and ".join(short)
        words = f"the profile {profile.name} on {nodes} nodes needs {needs}{remedy}"
        raise PreflightError(words)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _available_memory() -> float:
    """``MemAvailable``; what is installed where the kernel does not say."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _file_system(folder: Path) -> str:
    """The kind of file system that holds ``folder`` (proc(5), ``/proc/self/mounts``)."""
    best, kind = "", ""
    where = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, found, *_ = line.split()
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
