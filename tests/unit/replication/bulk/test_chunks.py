"""How sources are cut: rows into chunks, files at the ends of records. No sockets."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import Credentials, Member, Storage
from replication.bulk import BulkLoad, ChunkRefused, FileFormat, SourceUnreadable
from replication.bulk.chunk_units import CopyTarget, copy_statement, parse_line
from replication.bulk.files import FileSource, first_record_end, last_record_end
from replication.bulk.model import Chunk, Source, Start
from replication.bulk.rows import RowSource, next_start
from replication.wire import BLOCK_BYTES, row_encoder


def cut(source: Source, start: Start | None = None) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        return [chunk async for chunk in source.chunks(start)]

    return anyio.run(collect)


def row_source(
    rows: Sequence[tuple[object, ...]], *, chunk_rows: int = 3, chunk_bytes_max: int = 10**9
) -> RowSource:
    return RowSource("load", rows, chunk_rows=chunk_rows, chunk_bytes_max=chunk_bytes_max)


def test_psycopg_is_what_it_was_read_to_be() -> None:
    """``row_encoder`` rests on a function that psycopg does not promise to keep."""
    encode, buffer = row_encoder(), bytearray()
    encode((1, None, "a\tb\n\\", True, 1.5, "é"), buffer)
    assert bytes(buffer) == "1\t\\N\ta\\tb\\n\\\\\tt\t1.5\té\n".encode()
    with pytest.raises(Exception, match="cannot adapt"):
        encode((object(),), buffer)


def test_rows_are_cut_by_number() -> None:
    chunks = cut(row_source([(n,) for n in range(7)]))
    assert [b"".join(chunk.blocks) for chunk in chunks] == [b"0\n1\n2\n", b"3\n4\n5\n", b"6\n"]
    assert [chunk.start for chunk in chunks] == [
        Start(number=1, position=0, line=1),
        Start(number=2, position=3, line=4),
        Start(number=3, position=6, line=7),
    ]
    assert [chunk.position_end for chunk in chunks] == [3, 6, 7]
    assert row_source([]).row_of(chunks[1], 2) == 5


def test_rows_are_cut_by_size() -> None:
    wide = [("x" * 1000,) for _ in range(1000)]
    chunks = cut(row_source(wide, chunk_rows=10**6, chunk_bytes_max=BLOCK_BYTES * 2))
    assert len(chunks) == 4
    for chunk in chunks[:-1]:
        assert BLOCK_BYTES * 2 <= chunk.bytes_total < BLOCK_BYTES * 2 + 3000
        assert chunk.bytes_total == sum(map(len, chunk.blocks))
    assert sum(chunk.bytes_total for chunk in chunks) == 1001 * 1000


@given(
    count=st.integers(0, 600),
    chunk_rows=st.integers(1, 300),
    resume=st.integers(0, 600),
    is_async=st.booleans(),
)
def test_a_source_cuts_the_same_from_any_chunk_on(
    count: int, chunk_rows: int, resume: int, is_async: bool
) -> None:
    async def one_by_one() -> AsyncIterator[tuple[int]]:
        for n in range(count):
            yield (n,)

    def source() -> RowSource:
        rows = one_by_one() if is_async else ((n,) for n in range(count))
        return RowSource("load", rows, chunk_rows=chunk_rows, chunk_bytes_max=10**9)

    chunks = cut(source())
    text = b"".join(block for chunk in chunks for block in chunk.blocks)
    assert text == b"".join(b"%d\n" % n for n in range(count))
    if chunks:
        at = resume % len(chunks)
        assert cut(source(), chunks[at].start) == chunks[at:]


@pytest.mark.parametrize("from_chunk", [1, 2])
def test_a_source_that_trickles_holds_back_no_whole_chunk(from_chunk: int) -> None:
    """The rows of a chunk are there, and the next one never comes."""

    async def trickle() -> AsyncIterator[tuple[object, ...]]:
        for n in range(3 * from_chunk):
            yield (n,)
        await anyio.sleep_forever()

    async def first() -> Chunk:
        source = RowSource("load", trickle(), chunk_rows=3, chunk_bytes_max=10**9)
        start = Start(number=from_chunk, position=3 * from_chunk - 3, line=3 * from_chunk - 2)
        with anyio.fail_after(5.0):
            return await anext(source.chunks(start))

    chunk = anyio.run(first)
    assert (chunk.start.number, chunk.position_end) == (from_chunk, 3 * from_chunk)


def test_the_row_that_cannot_be_encoded_is_named() -> None:
    with pytest.raises(ChunkRefused) as caught:
        cut(row_source([(1,), (2,), (3,), (4,), (object(),)]))
    assert (caught.value.chunk, caught.value.row) == (2, 5)


def file_source(path: Path, file_format: FileFormat, chunk_bytes_max: int) -> FileSource:
    return FileSource("load", path, file_format, chunk_bytes_max=chunk_bytes_max)


VALUES = st.text(alphabet='a"\n,\\é', max_size=8)


@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1), chunk_bytes_max=st.integers(64, 200))
def test_a_csv_file_is_cut_at_the_ends_of_records(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    chunk_bytes_max: int,
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.getvalue().encode())
    chunks = cut(file_source(path, FileFormat(), chunk_bytes_max))
    pieces = [b"".join(chunk.blocks) for chunk in chunks]
    assert b"".join(pieces) == path.read_bytes()
    assert all(len(piece) <= chunk_bytes_max for piece in pieces)
    records = [
        record
        for piece in pieces
        for record in csv.reader(io.StringIO(piece.decode(), newline=""), strict=True)
    ]
    assert records == [list(row) for row in rows]
    for at in range(len(chunks)):
        assert (
            cut(file_source(path, FileFormat(), chunk_bytes_max), chunks[at].start) == chunks[at:]
        )


@pytest.mark.parametrize(
    ("data", "quote", "first", "last"),
    [
        (b"a\nb\nc", None, 2, 4),
        (b"a\\\nb\nc\\\n", None, 5, 5),
        (b"a\\\\\nb", None, 4, 4),
        (b"a\\\n", None, None, None),
        (b'"a\nb"\nc\n"d\n', b'"', 6, 8),
        (b'"a""\nb"\n', b'"', 8, 8),
        (b'"a\nb\nc', b'"', None, None),
        (b"'a\n'\n\"\n", b"'", 5, 7),
        (b"", b'"', None, None),
        (b"\n", b'"', 1, 1),
    ],
)
def test_where_records_end(
    data: bytes, quote: bytes | None, first: int | None, last: int | None
) -> None:
    assert first_record_end(data, quote) == first
    assert last_record_end(data, quote) == last


def test_headers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,"na\nme"\n1,a\n2,b\n')
    (skipped,) = cut(file_source(path, FileFormat(header="skip"), 100))
    assert b"".join(skipped.blocks) == b"1,a\n2,b\n"
    assert skipped.start == Start(number=1, position=11, line=3)
    source = file_source(path, FileFormat(header="match"), 15)
    matched = cut(source)
    assert [b"".join(chunk.blocks) for chunk in matched] == [b'id,"na\nme"\n1,a\n2,b\n']
    assert source.row_of(matched[0], 4) == 4
    assert source.copy_options()["header"] == "match"
    path.write_text("id,name\n" + "1,a\n" * 6)
    source = file_source(path, FileFormat(header="match"), 12)
    chunks = cut(source)
    assert [b"".join(chunk.blocks) for chunk in chunks] == [b"id,name\n" + b"1,a\n" * 3] * 2
    assert source.row_of(chunks[1], 2) == 5
    assert next_start(chunks[0]) == chunks[1].start


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("header", ["none", "skip", "match"])
def test_the_mark_before_a_file_is_in_no_chunk(tmp_path: Path, header: str) -> None:
    """Whatever is cut is as without it; only the positions are later by three bytes."""
    rows = b'"id",name\n' + b"".join(b'%d,"a\nb"\n' % n for n in range(20))
    plain, marked = tmp_path / "plain.csv", tmp_path / "marked.csv"
    plain.write_bytes(rows)
    marked.write_bytes(MARK + rows)
    file_format = FileFormat(header=header)  # type: ignore[arg-type]
    without, chunks = (cut(file_source(path, file_format, 40)) for path in (plain, marked))
    assert len(chunks) > 3
    assert [chunk.blocks for chunk in chunks] == [chunk.blocks for chunk in without]
    assert [chunk.start.line for chunk in chunks] == [chunk.start.line for chunk in without]
    assert [c.position_end - 3 for c in chunks] == [c.position_end for c in without]
    for chunk in chunks:
        assert cut(file_source(marked, file_format, 40), chunk.start)[0] == chunk
    marked.write_bytes(MARK)
    assert cut(file_source(marked, file_format, 40)) == []


def test_a_load_that_was_begun_with_the_mark_goes_on(tmp_path: Path) -> None:
    """Its first chunk had the mark in it, and is held against the ledger's digest."""
    path = tmp_path / "marked.csv"
    path.write_bytes(MARK + b"a\nb\nc\n")
    first, *_ = cut(file_source(path, FileFormat(), 6), Start(number=1, position=0, line=1))
    assert b"".join(first.blocks) == MARK + b"a\n"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("1,a\n".encode("utf-16"), {}, "byte order mark of UTF-16.*iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff" + "1,a\n".encode("utf-16-be"), {}, "byte order mark of UTF-16"),
        ("1,a\n".encode("utf-32"), {}, "byte order mark of UTF-32"),
        (b"\0\0\xfe\xff" + "1,a\n".encode("utf-32-be"), {}, "byte order mark of UTF-32"),
        ("1,a\n".encode("utf-16-le"), {}, "seems to be UTF-16LE"),
        ("1,a\n".encode("utf-16-be"), {"encoding": "LATIN1"}, "seems to be UTF-16BE"),
        ("1,a\n".encode("utf-32-le"), {}, "seems to be UTF-32LE"),
        ("1,a\n".encode("utf-32-be"), {}, "seems to be UTF-32BE"),
        ("\ufeff1,a\n".encode("gb18030"), {}, "byte order mark of GB18030"),
        (MARK + b"1,a\n", {"encoding": "WIN1252"}, "mark of UTF-8, its encoding is to be WIN1252"),
        (MARK + MARK + b"1,a\n", {}, "line 1 of .* begins with a byte order mark"),
        (MARK + b"id\n" + MARK + b"id\n1\n", {"header": "skip"}, "line 2 of .* begins with"),
        (MARK + MARK + b"id\n1\n", {"header": "match"}, "line 1 of .* begins with"),
        (b"1,a\n2,b\r\n" + MARK + b"3,c\n", {}, "line 3 of .* begins with"),
        (b'1,"a\nb"\n' * 9 + MARK + b"3,c\n", {}, "line 19 of .* begins with"),
        (b"1\n2\\\n" + MARK + b"x\n" + MARK + b"y\n", {"format": "text"}, "line 4 of .* begins"),
        (b"1,a\r" + MARK + b"2,b", {}, "line 1 of .* begins with"),
    ],
)
def test_a_mark_that_is_no_utf8_or_not_at_the_beginning(
    tmp_path: Path, content: bytes, options: dict[str, str], words: str
) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable, match=words):
        cut(file_source(path, FileFormat(**options), 40))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('"\ufeffa",b\n', {}),
        ("a,\ufeffb\n", {}),
        ('"a\n\ufeffb",c\n', {}),
        ("a\\\n\ufeffb\n", {"format": "text"}),
        ("a\n", {}),
        ("", {}),
        ("ab\n\0", {}),
    ],
)
def test_what_is_meant_is_left_alone(tmp_path: Path, text: str, options: dict[str, str]) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(text)
    chunks = cut(file_source(path, FileFormat(**options), 4096))  # type: ignore[arg-type]
    assert b"".join(block for chunk in chunks for block in chunk.blocks) == text.encode()


def test_the_first_value_of_rows_may_begin_with_the_character() -> None:
    (chunk,) = cut(row_source([("\ufeffa",)]))
    assert b"".join(chunk.blocks) == "\ufeffa\n".encode()


def test_a_record_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('1,a\n2,"' + "b" * 100)
    with pytest.raises(SourceUnreadable, match=r"line 2 of .* does not end within 50 bytes"):
        cut(file_source(path, FileFormat(), 50))
    with pytest.raises(SourceUnreadable, match="line 1"):
        cut(file_source(path, FileFormat(header="skip", quote="'"), 3))


@pytest.mark.parametrize("text", ["\\.\n", "a\n\\.\n", "a\n\\.", "a\r\n\\.\r\n"])
def test_the_end_of_data_marker(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    with pytest.raises(SourceUnreadable, match="would end COPY there"):
        cut(file_source(path, FileFormat(format="text"), 100))


@pytest.mark.parametrize(
    "options", [{"encoding": "SJIS"}, {"quote": '""'}, {"quote": "\n"}, {"quote": "é"}]
)
def test_formats_that_cannot_be_cut(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"encoding is one of|quote is one"):
        FileFormat(**options)  # type: ignore[arg-type]


def test_the_statement_is_quoted() -> None:
    target = CopyTarget(table=("eds", 'pa"tient'), columns=["id", "family name"])
    options = {"format": "csv", "encoding": "UTF8", "delimiter": "'"}
    assert copy_statement(target, options).as_string(None) == (
        'COPY "eds"."pa""tient" ("id", "family name") FROM STDIN'
        """ ("format" 'csv', "encoding" 'UTF8', "delimiter" '''')"""
    )


@pytest.mark.parametrize(
    ("context", "line"),
    [
        ('COPY patient, line 7, column born: "x"', 7),
        ("COPY patient, line 12", 12),
        ("COPY patient, ligne 3, colonne id", 3),
        ("COPY patient, 第 4 行, 列 id", 4),
        ('patientのCOPY、行 5、列 id1: "x"', 5),
        ("patient 복사, 6번째 줄, id1 열", 6),
        ('COPY patient, line 7, column a: "\nCOPY patient, line 8"', 7),
        ('PL/pgSQL function f() line 3 at RAISE\nCOPY patient, line 9: "1"', 9),
        ("COPY patients2, line 7", None),
        ("", None),
        (None, None),
    ],
)
def test_the_line_in_the_words_of_postgresql(context: str | None, line: int | None) -> None:
    assert parse_line(context, "patient") == line


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"table": "patient"}, "table is"),
        ({"table": ("patient",)}, "table is"),
        ({"columns": "id"}, "columns is a list"),
        ({"columns": ["\ufeffid"]}, "byte order mark"),
        ({"compare": "all"}, "not 'all'"),
        ({"chunk_rows": 0}, "at least one row"),
    ],
)
def test_arguments_that_make_no_sense(argument: dict[str, Any], words: str) -> None:
    member = Member(name="a", rest_url="http://127.0.0.1:8008", host="127.0.0.1", port=5432)
    storage = Storage([member], Credentials(user="app", password="secret", dbname="warehouse"))
    good: dict[str, Any] = {"name": "l", "table": ("eds", "patient"), "columns": ["id"]}
    with pytest.raises(ValueError, match=words):
        BulkLoad(storage, **(good | argument))
