"""Made-up patients and what a hospital knows of them, as COPY's binary format. Pure.

The same profile and seed give the same bytes. Every chunk follows from its number alone, so a load
that was interrupted makes only what is missing. numpy lays whole chunks out as COPY reads them
(PostgreSQL manual, COPY, "Binary Format"): the values of a column have one width, none is NULL.

Nobody here exists. Names are put together from syllables, hospital numbers are a counter, concepts
have invented codes. A few patients have most of the rows, as in hospitals: the share of visits
grows with the square of a uniform number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from chaos.workloads.warehouse import tables as t
from chaos.workloads.warehouse.concepts import CONCEPTS, FIRST_CONCEPT, concept
from chaos.workloads.warehouse.profiles import Profile
from replication.bulk import EncodedChunk

CHUNK_ROWS = 250_000
"""A chunk is one transaction: some 20 MB of most tables."""
NOTE_CHUNK_ROWS = 16_000
"""A note is twenty times as wide."""

Array = npt.NDArray[Any]

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = np.datetime64("2000-01-01")
"""PostgreSQL counts days from here."""

_FIRST_DAY = int((np.datetime64("2005-01-01") - _EPOCH).astype(int))
_DAYS = 7_600
"""Visits lie within almost 21 years."""

WARDS = ("Médecine", "Chirurgie", "Imagerie", "Radiothérapie")
CARE_SITES = tuple(f"{ward}, {place}" for place, ward in product(("A", "B", "C"), WARDS))

NOTE_BYTES = 1_500
_SENTENCES = (
    "Le patient a été vu en consultation, l'état général est conservé. ",
    "L'examen clinique ne montre pas de changement depuis la dernière visite. ",
    "Le traitement est poursuivi, la tolérance est bonne. ",
    "Une nouvelle imagerie est demandée avant la prochaine réunion. ",
    "Le bilan biologique est dans les limites attendues. ",
    "La famille a été reçue, les questions ont été discutées. ",
    "Le dossier sera présenté en réunion de concertation. ",
)
_FAMILY = tuple(
    begin + end
    for begin in ("Bel", "Cor", "Dur", "Fon", "Gar", "Lam", "Mon", "Per", "Roc", "Sal", "Vil")
    for end in ("bois", "cour", "dier", "gnon", "land", "mont", "quet", "reau", "vaux")
)
_GIVEN = tuple(
    begin + end
    for begin in ("Ali", "Bas", "Cla", "Del", "Eli", "Fan", "Jul", "Mar", "Odi", "Vic")
    for end in ("ane", "eth", "ien", "ine", "iot", "lie", "nne", "tte")
)


def chunk_rows(table: t.OmopTable) -> int:
    """Rows of a chunk."""
    return NOTE_CHUNK_ROWS if table is t.NOTE else CHUNK_ROWS


class Generator:
    """All rows of one profile.

    Args:
        profile: how many.
        seed: which.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile = profile
        self.seed = seed

    def chunks(self, table: t.OmopTable, first: int = 1) -> Iterator[EncodedChunk]:
        """The chunks of a table from number ``first`` on, the first of all being 1."""
        rows, step = self.profile.rows(table), chunk_rows(table)
        for begin in range((first - 1) * step, rows, step):
            count = min(step, rows - begin)
            ids = np.arange(begin + 1, begin + count + 1)
            draw = np.random.default_rng([self.seed, t.TABLES.index(table), begin])
            if table in _PLAIN:
                data = encode_plain(_PLAIN[table](ids.tolist()))
            else:
                data = encode_columns(table, [ids, *_COLUMNS[table](self, draw, ids)])
            yield EncodedChunk(rows=count, data=data)

    @cached_property
    def visits(self) -> tuple[Array, Array]:
        """Of every visit the person and the first day."""
        count, patients = self.profile.rows(t.VISIT), self.profile.patients
        draw = np.random.default_rng([self.seed, len(t.TABLES)])
        skewed = (draw.random(count, dtype=np.float32) ** 2 * patients).astype(np.int64)
        # Spread over all ids: else the first patients would be those with the most rows. The
        # factor is a prime, so no two patients fall together.
        person = (skewed * 7_919 % patients + 1).astype(np.int32)
        day = (_FIRST_DAY + draw.integers(0, _DAYS, count)).astype(np.int32)
        return person, day

    def facts(self, draw: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
        """Of as many facts the person, the day and the visit."""
        person, day = self.visits
        visit = draw.integers(0, len(person), count, dtype=np.int32)
        return person[visit], day[visit], visit + 1

    def births(self, persons: Array) -> Array:
        """The day of birth of each person, in days from 2000."""
        mixed = persons.astype(np.uint64) * 2_654_435_761 + self.seed
        return (mixed % 26_000).astype(np.int64) - 24_000


def encode_columns(table: t.OmopTable, columns: Sequence[Array | int]) -> bytes:
    """Rows of one width as a whole COPY in binary format.

    Args:
        table: whose columns; ``numeric`` comes in hundredths, from 0 to 999,999.
        columns: its columns in their order, each as an array or as one value for all rows.
    """
    fields: list[tuple[str, Any]] = [("fields", ">i2")]
    for (name, kind), values in zip(table.columns, columns, strict=True):
        fields += [(f"{name} bytes", ">i4"), (name, _dtype(kind, values))]
    count = max(np.size(values) for values in columns)
    rows = np.empty(count, dtype=fields)
    rows["fields"] = len(table.columns)
    for (name, kind), values in zip(table.columns, columns, strict=True):
        rows[f"{name} bytes"] = rows.dtype[name].itemsize
        if kind == "numeric":
            _put_numeric(rows[name], values)
        else:
            rows[name] = values
    return b"".join((_HEADER, rows.tobytes(), _TRAILER))


def _dtype(kind: str, values: Array | int) -> npt.DTypeLike:
    if kind == "numeric":
        # As numeric_recv reads it: digits, weight, sign, scale; then digits of base 10000.
        return [(part, ">i2") for part in ("digits", "weight", "sign", "scale", "whole", "rest")]
    return ">i4" if kind in ("integer", "date") else np.asarray(values).dtype


def _put_numeric(field: Array, hundredths: Array | int) -> None:
    field["digits"], field["weight"], field["sign"], field["scale"] = 2, 0, 0, 2
    field["whole"], field["rest"] = hundredths // 100, hundredths % 100 * 100


def encode_plain(rows: Sequence[Sequence[int | str]]) -> bytes:
    """A few rows of any width as a whole COPY in binary format."""
    parts = [_HEADER]
    for row in rows:
        parts.append(struct.pack(">h", len(row)))
        for value in row:
            data = value.encode() if isinstance(value, str) else struct.pack(">i", value)
            parts.append(struct.pack(">i", len(data)) + data)
    return b"".join((*parts, _TRAILER))


def _of_width(texts: Sequence[str]) -> Array:
    """Texts that are all of one width, as bytes."""
    return np.array([text.encode() for text in texts])


def _note_texts() -> Array:
    texts = []
    for first in range(len(_SENTENCES)):
        text = "".join(_SENTENCES[(first + n * n) % len(_SENTENCES)] for n in range(40)).encode()
        # Not in the middle of a character, and always of one width.
        whole = text[:NOTE_BYTES].decode(errors="ignore").encode()
        texts.append(whole + b"." * (NOTE_BYTES - len(whole)))
    return np.array(texts)


_NOTES = _note_texts()
_FAMILY_NAMES, _GIVEN_NAMES = _of_width(_FAMILY), _of_width(_GIVEN)


def _pick(draw: np.random.Generator, count: int, first: str, number: int) -> Array:
    """Concepts out of the ``number`` that begin with ``first``; the first ones more often."""
    chosen = (draw.random(count, dtype=np.float32) ** 2 * number).astype(np.int32)
    return chosen + np.int32(concept(first))


def _concepts(ids: Sequence[int]) -> list[list[int | str]]:
    rows: list[list[int | str]] = []
    for n in ids:
        name, domain, kind = CONCEPTS[n - 1]
        code = f"B-{n:03d}"
        rows.append([FIRST_CONCEPT - 1 + n, name, domain, "Bascule", kind, code, -10_957, 36_159])
    return rows


def _care_sites(ids: Sequence[int]) -> list[list[int | str]]:
    return [[n, CARE_SITES[n - 1], 0] for n in ids]


def _patient(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    count = len(ids)
    digits = np.char.zfill(ids.astype("U9"), 9)
    number = np.char.add("H", digits).astype("S10")
    family = _FAMILY_NAMES[draw.integers(0, len(_FAMILY), count)]
    given = _GIVEN_NAMES[draw.integers(0, len(_GIVEN), count)]
    return [number, family, given, generator.births(ids)]


def _person(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    months = (_EPOCH + generator.births(ids)).astype("datetime64[M]").astype(np.int64)
    gender = draw.integers(0, 2, len(ids)) + 8_507  # OMOP's own ids for male; female is 8532
    gender[gender == 8_508] = 8_532
    site = draw.integers(1, len(CARE_SITES) + 1, len(ids))
    return [gender, 1970 + months // 12, months % 12 + 1, 0, 0, site]


def _period(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    return [ids, _FIRST_DAY, _FIRST_DAY + _DAYS + 60, 0]


def _visit(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    count = len(ids)
    person, day = (values[ids[0] - 1 : ids[-1]] for values in generator.visits)
    end = day + draw.integers(0, 12, count)
    return [person, 0, day, end, 0, draw.integers(1, len(CARE_SITES) + 1, count)]


def _condition(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    person, day, visit = generator.facts(draw, len(ids))
    return [person, _pick(draw, len(ids), "Tumeur 1", 32), day, 0, visit]


def _procedure(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    person, day, visit = generator.facts(draw, len(ids))
    return [person, _pick(draw, len(ids), "Acte 1", 16), day, 0, visit]


def _drug(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    count = len(ids)
    person, day, visit = generator.facts(draw, count)
    drug = _pick(draw, count, "Médicament 1", 16)
    end = day + draw.integers(0, 30, count, dtype=np.int32)
    return [person, drug, day, end, 0, draw.integers(1, 50, count) * 50, visit]


def _measurement(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    count = len(ids)
    person, day, visit = generator.facts(draw, count)
    kind = _pick(draw, count, "Biomarqueur 1", 24)
    return [person, kind, day, 0, draw.integers(0, 999_999, count, dtype=np.int32), 0, visit]


def _note(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    count = len(ids)
    person, day, visit = generator.facts(draw, count)
    title = _of_width(("Compte rendu",) * count)
    text = _NOTES[draw.integers(0, len(_NOTES), count)]
    return [person, day, 0, 0, title, text, 0, 0, visit]


def _specimen(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    person, day, _ = generator.facts(draw, len(ids))
    return [person, 0, 0, day, 0]


def _episode(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    count = len(ids)
    person, day, _ = generator.facts(draw, count)
    end = day + draw.integers(20, 400, count, dtype=np.int32)
    line = draw.integers(1, 5, count)
    return [person, 0, day, end, line, _pick(draw, count, "Protocole 1", 8), 0]


def _death(generator: Generator, draw: np.random.Generator, ids: Array) -> list[Array | int]:
    return [_FIRST_DAY + _DAYS + draw.integers(0, 60, len(ids)), 0, 0]


_PLAIN: Mapping[t.OmopTable, Callable[[Sequence[int]], list[list[int | str]]]] = {
    t.CONCEPT: _concepts,
    t.CARE_SITE: _care_sites,
}

MakeColumns = Callable[[Generator, np.random.Generator, Array], list[Array | int]]

_COLUMNS: Mapping[t.OmopTable, MakeColumns] = {
    t.PATIENT: _patient,
    t.PERSON: _person,
    t.OBSERVATION_PERIOD: _period,
    t.VISIT: _visit,
    t.CONDITION: _condition,
    t.PROCEDURE: _procedure,
    t.DRUG: _drug,
    t.MEASUREMENT: _measurement,
    t.NOTE: _note,
    t.SPECIMEN: _specimen,
    t.EPISODE: _episode,
    t.DEATH: _death,
}
"""All columns but the key, which counts from 1."""
