"""Generated patients: the bytes are COPY's, the same each time, and whole in their references."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from chaos.errors import PreflightError
from chaos.workloads.warehouse import tables as t
from chaos.workloads.warehouse.concepts import CONCEPTS, concept
from chaos.workloads.warehouse.generator import Generator, chunk_rows, encode_columns
from chaos.workloads.warehouse.profiles import PROFILES, Profile, Room, measure, require_room

TINY = Profile(name="tiny", patients=400)
HEADER = b"PGCOPY\n\xff\r\n\x00"


def rows_of(data: bytes, table: t.OmopTable) -> Iterator[dict[str, object]]:
    """What COPY would read (PostgreSQL manual, COPY, "Binary Format")."""
    assert data.startswith(HEADER)
    at = len(HEADER)
    assert struct.unpack_from(">ii", data, at) == (0, 0)
    at += 8
    while (count := struct.unpack_from(">h", data, at)[0]) != -1:
        at += 2
        assert count == len(table.columns)
        row = {}
        for name, kind in table.columns:
            (length,) = struct.unpack_from(">i", data, at)
            row[name] = value_of(data[at + 4 : at + 4 + length], kind)
            at += 4 + length
        yield row
    assert at + 2 == len(data)


def value_of(data: bytes, kind: str) -> object:
    if kind == "integer":
        return struct.unpack(">i", data)[0]
    if kind == "date":
        return date(2000, 1, 1) + timedelta(days=struct.unpack(">i", data)[0])
    if kind == "numeric":
        digits, weight, sign, scale, whole, rest = struct.unpack(">6h", data)
        assert (digits, weight, sign, scale) == (2, 0, 0, 2)
        assert rest % 100 == 0
        return whole + rest / 10_000
    return data.decode()


def everything(table: t.OmopTable, seed: int = 7) -> list[dict[str, object]]:
    return [
        row for chunk in Generator(TINY, seed).chunks(table) for row in rows_of(chunk.data, table)
    ]


@pytest.mark.parametrize("table", t.TABLES, ids=lambda table: table.name)
def test_every_table_has_its_rows_and_keys(table: t.OmopTable) -> None:
    rows = everything(table)
    assert len(rows) == TINY.rows(table) > 0
    keys = [row[table.key] for row in rows]
    assert len(set(keys)) == len(keys)
    if table is not t.CONCEPT:
        assert keys == list(range(1, len(rows) + 1))
    for name, kind in table.columns:
        if kind.startswith("varchar"):
            width = int(kind[8:-1])
            assert all(0 < len(str(row[name])) <= width for row in rows)


def test_every_fact_has_its_person_and_its_stay() -> None:
    persons = {row["person_id"] for row in everything(t.PERSON)}
    stays = {row["visit_occurrence_id"]: row["person_id"] for row in everything(t.VISIT)}
    assert set(stays.values()) <= persons
    for table in t.FACTS:
        rows = everything(table)
        assert {row["person_id"] for row in rows} <= persons
        if table in t.OF_VISITS:
            assert all(stays[row["visit_occurrence_id"]] == row["person_id"] for row in rows)


def test_every_concept_that_is_used_is_known_and_made_up() -> None:
    known = {row["concept_id"] for row in everything(t.CONCEPT)}
    assert min(int(str(one)) for one in known) > 2_000_000_000
    assert {row["vocabulary_id"] for row in everything(t.CONCEPT)} == {"Bascule"}
    for table, column in (
        (t.CONDITION, "condition_concept_id"),
        (t.PROCEDURE, "procedure_concept_id"),
        (t.DRUG, "drug_concept_id"),
        (t.MEASUREMENT, "measurement_concept_id"),
        (t.EPISODE, "episode_object_concept_id"),
    ):
        assert {row[column] for row in everything(table)} <= known
    assert concept("Tumeur 1") + len(CONCEPTS) - 1 == concept("Protocole 8")
    with pytest.raises(KeyError):
        concept("Tumeur 99")


def test_identities_and_facts_agree_on_nothing_but_the_number() -> None:
    """The year and month of birth are the same person's; names are nowhere else."""
    patients = {row["person_id"]: row for row in everything(t.PATIENT)}
    for row in everything(t.PERSON):
        born = patients[row["person_id"]]["birth_date"]
        assert isinstance(born, date)
        assert (row["year_of_birth"], row["month_of_birth"]) == (born.year, born.month)
        assert 1900 < born.year < 2008
    names = {str(row["family_name"]) for row in patients.values()}
    assert len(names) > 50
    texts = {str(row["note_text"]) for row in everything(t.NOTE)}
    assert not any(name in text for name in names for text in texts)


def test_a_few_patients_have_most_of_the_stays() -> None:
    of = [row["person_id"] for row in everything(t.VISIT)]
    counts = sorted((of.count(person) for person in set(of)), reverse=True)
    assert sum(counts[: TINY.patients // 4]) > 0.4 * len(of)


def test_the_same_seed_gives_the_same_bytes_from_any_chunk_on() -> None:
    profile = Profile(name="wide", patients=60_000)
    chunks = list(Generator(profile, 7).chunks(t.NOTE))
    assert [chunk.rows for chunk in chunks] == [chunk_rows(t.NOTE), 30_000 - chunk_rows(t.NOTE)]
    assert list(Generator(profile, 7).chunks(t.NOTE, first=2)) == chunks[1:]
    assert list(Generator(profile, 7).chunks(t.NOTE, first=3)) == []
    assert list(Generator(profile, 8).chunks(t.NOTE, first=2)) != chunks[1:]


def test_one_value_stands_for_a_column() -> None:
    data = encode_columns(t.CARE_SITE, [1, *_texts("Nord"), 0])
    assert list(rows_of(data, t.CARE_SITE)) == [
        {"care_site_id": 1, "care_site_name": "Nord", "place_of_service_concept_id": 0}
    ]


def _texts(*texts: str) -> Sequence[object]:
    import numpy as np  # noqa: PLC0415

    return [np.array([text.encode() for text in texts])]


def test_full_is_what_the_hospital_has() -> None:
    full = PROFILES["full"]
    assert full.patients == 600_000
    assert 24_000_000 < sum(full.rows(table) for table in t.TABLES) < 24_500_000


def test_a_machine_without_room_is_refused_with_the_remedy() -> None:
    room = Room(memory=23e9, disk=20e9, disk_is_memory=True)
    for profile in PROFILES.values():
        require_room(profile, room, nodes=3, wal_max_bytes=0.5e9)
    short = Room(memory=8e9, disk=20e9, disk_is_memory=True)
    words = (
        "the profile full on 3 nodes needs 12.2 GB of memory, because its data is kept in memory,"
        " and 8.0 GB are free; use the profile drill, or a machine with more"
    )
    with pytest.raises(PreflightError, match=re.escape(words)):
        require_room(PROFILES["full"], short, nodes=3, wal_max_bytes=0.5e9)
    no_disk = Room(memory=23e9, disk=1e9, disk_is_memory=False)
    with pytest.raises(PreflightError, match=r"GB of disk, and 1\.0 GB are free"):
        require_room(PROFILES["drill"], no_disk, nodes=3, wal_max_bytes=1e9)
    require_room(PROFILES["smoke"], no_disk, nodes=3, wal_max_bytes=1e9)


def test_the_room_of_this_machine(tmp_path: Path) -> None:
    room = measure(tmp_path)
    assert room.memory > 1e8
    assert room.disk > 1e8
