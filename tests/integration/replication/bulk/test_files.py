"""Files as COPY reads them, loaded by a real PostgreSQL: chunks, headers, resuming, bad lines."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.postgres.bulk_ground import COLUMNS, TABLE, counted, lay_ground, storage_on
from support.postgres.local_postgres import LocalPostgres

from replication import Storage
from replication.bulk import (
    BulkLoad,
    ChunkRefused,
    FileFormat,
    Progress,
    SourceChanged,
    SourceUnreadable,
)

pytestmark = pytest.mark.anyio

ROWS = 500
CHUNK_BYTES_MAX = 1024
CSV = FileFormat(header="match")


@pytest.fixture
async def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """The server with an empty table and an empty ledger."""
    await lay_ground(postgres_server)
    return postgres_server


def name_of(n: int) -> str:
    """Every kind of value that a reader of lines would stumble over."""
    return [f"plain {n}", f'say "{n}"', f"two\nlines, {n}", f"é{n}", "\n\n"][n % 5]


def write_csv(path: Path, *, bad_row: int | None = None) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for n in range(ROWS):
            writer.writerow(("not a number" if n == bad_row else n, name_of(n)))


def load(storage: Storage, *, chunk_bytes_max: int = CHUNK_BYTES_MAX) -> BulkLoad:
    return BulkLoad(
        storage,
        name="patients",
        table=TABLE,
        columns=COLUMNS,
        chunk_bytes_max=chunk_bytes_max,
    )


class Stopped(Exception):
    """A load is stopped on purpose."""


@pytest.mark.parametrize("header", ["match", "skip"])
async def test_a_csv_file_stops_and_goes_on(
    server: LocalPostgres, tmp_path: Path, header: str
) -> None:
    path, told = tmp_path / "patients.csv", list[Progress]()
    write_csv(path)
    file_format = FileFormat(header="match" if header == "match" else "skip")

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        if progress.chunk == 3:
            raise Stopped

    async with storage_on(server) as (storage, _):
        with pytest.raises(Stopped):
            await load(storage).run_file(path, file_format, on_progress=on_progress)
        assert counted(server)[0] == told[-1].rows_total < ROWS
        moved = path.rename(tmp_path / "moved.csv")
        loaded = await load(storage).run_file(moved, file_format)
    assert (loaded.rows, loaded.resumed_after) == (ROWS, 3)
    assert loaded.chunks > 6
    assert server.query("SELECT id, name FROM eds.patient ORDER BY id") == [
        (n, name_of(n)) for n in range(ROWS)
    ]


async def test_a_text_file(server: LocalPostgres, tmp_path: Path) -> None:
    path = tmp_path / "patients.txt"
    path.write_text("".join(f"{n}|two\\\nlines {n}\n" for n in range(ROWS)) + "500|-")
    file_format = FileFormat(format="text", delimiter="|", null="-")
    async with storage_on(server) as (storage, _):
        loaded = await load(storage).run_file(path, file_format)
    assert loaded.rows == ROWS + 1
    assert server.query("SELECT name FROM eds.patient WHERE id IN (7, 500) ORDER BY id") == [
        ("two\nlines 7",),
        (None,),
    ]


async def test_another_encoding(server: LocalPostgres, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes("1;é€\n".encode("cp1252") * 300)
    async with storage_on(server) as (storage, _):
        await load(storage).run_file(path, FileFormat(delimiter=";", encoding="WIN1252"))
    assert server.query("SELECT name, count(*) FROM eds.patient GROUP BY 1") == [("é€", 300)]


@pytest.mark.parametrize("header", ["match", "skip"])
async def test_a_bad_line_is_named(server: LocalPostgres, tmp_path: Path, header: str) -> None:
    path = tmp_path / "patients.csv"
    write_csv(path, bad_row=333)
    lines = path.read_text().split("\n")
    number = next(n for n, line in enumerate(lines, 1) if line.startswith("not a number,"))
    file_format = FileFormat(header="match" if header == "match" else "skip")
    async with storage_on(server) as (storage, _):
        with pytest.raises(ChunkRefused) as caught:
            await load(storage).run_file(path, file_format)
        assert caught.value.row == number
        assert f"line {number}" in str(caught.value)
        count = counted(server)[0]
        assert count == counted(server)[1] < ROWS
        write_csv(path)
        assert (await load(storage).run_file(path, file_format)).resumed_after > 0
    assert counted(server) == (ROWS, ROWS)


async def test_a_header_that_does_not_match(server: LocalPostgres, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("id,family_name\n1,a\n")
    async with storage_on(server) as (storage, _):
        with pytest.raises(ChunkRefused, match="column name mismatch in header line"):
            await load(storage).run_file(path, CSV)
    assert counted(server) == (0, 0)


async def test_a_file_that_changed_in_place(server: LocalPostgres, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    write_csv(path)

    def on_progress(progress: Progress) -> None:
        if progress.chunk == 3:
            raise Stopped

    async with storage_on(server) as (storage, _):
        with pytest.raises(Stopped):
            await load(storage).run_file(path, CSV, on_progress=on_progress)
        path.write_text(path.read_text().replace("plain", "plane"))
        with pytest.raises(SourceChanged, match="chunk 3"):
            await load(storage).run_file(path, CSV)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('1,"never ends\n' + "x\n" * 1000, "record at line 1 .* does not end within"),
        ("1,a\n" * 10 + "\\.\n" + "2,b\n", r"line 11 of .* is \\\."),
    ],
)
async def test_what_cannot_be_cut_is_refused(
    server: LocalPostgres, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(text)
    async with storage_on(server) as (storage, _):
        with pytest.raises(SourceUnreadable, match=words):
            await load(storage).run_file(path)
    assert counted(server) == (0, 0)


async def test_a_file_without_rows(server: LocalPostgres, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("id,name")
    async with storage_on(server) as (storage, _):
        assert (await load(storage).run_file(path, CSV)).rows == 0


@pytest.mark.parametrize("header", ["none", "skip", "match"])
async def test_a_file_with_a_mark_stops_and_goes_on(
    server: LocalPostgres, tmp_path: Path, header: str
) -> None:
    """As Excel writes it. The first value is a number: a mark in it would be refused."""
    path = tmp_path / "patients.csv"
    lines = ["" if header == "none" else '"id","name"\r\n'] + [
        f'{n},"é{n}"\r\n' for n in range(ROWS)
    ]
    path.write_text("".join(lines), encoding="utf-8-sig", newline="")
    file_format = FileFormat(header=header)  # type: ignore[arg-type]

    def on_progress(progress: Progress) -> None:
        if progress.chunk == 2:
            raise Stopped

    async with storage_on(server) as (storage, _):
        with pytest.raises(Stopped):
            await load(storage).run_file(path, file_format, on_progress=on_progress)
        loaded = await load(storage).run_file(path, file_format)
    assert (loaded.rows, loaded.resumed_after) == (ROWS, 2)
    assert server.query("SELECT name FROM eds.patient ORDER BY id") == [
        (f"é{n}",) for n in range(ROWS)
    ]


async def test_the_mark_is_in_no_text(server: LocalPostgres, tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("alpha,1\nbeta,2\n", encoding="utf-8-sig")
    async with storage_on(server) as (storage, _):
        named = BulkLoad(storage, name="names", table=TABLE, columns=["name", "id"])
        await named.run_file(path)
        rows = BulkLoad(storage, name="rows", table=TABLE, columns=["name", "id"])
        await rows.run([("\ufeffgamma", 3)])  # data, as the application has it
    assert server.query("SELECT name FROM eds.patient ORDER BY id") == [
        ("alpha",),
        ("beta",),
        ("\ufeffgamma",),
    ]


@pytest.mark.parametrize("chunk_bytes_max", [CHUNK_BYTES_MAX, 8 * 2**20])
async def test_a_file_in_latin_1_is_refused_with_its_line(
    server: LocalPostgres, tmp_path: Path, chunk_bytes_max: int
) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes(b"1,abc\n" * 20_000 + "2,é\n".encode("latin-1") + b"3,abc\n" * 20_000)
    async with storage_on(server) as (storage, _):
        with pytest.raises(ChunkRefused, match="invalid byte sequence") as caught:
            await load(storage, chunk_bytes_max=chunk_bytes_max).run_file(path)
    assert caught.value.row == 20_001
