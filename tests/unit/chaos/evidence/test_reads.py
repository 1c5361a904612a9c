"""``reads-<site>.jsonl`` is read as it was written, and what is damaged is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.evidence.marks import look, mark

from chaos.evidence.reads import ReadsFile, SiteReads, read_all_reads, read_reads, reads_path

MARKS = (mark(1, 2.0, lsn=0x3000060), mark(2, 3.0, outcome="info"))
READS = (
    look("primary", 2.1, {"paris": 1, "orsay": 4}),
    look("own-write", 2.2, {"paris": 1}, after=1),
    look("bounded", 2.3, {}, bound_s=5.0, age_s=0.4),
    look("any", 2.4, outcome="fail", bound_s=3600.0),
    look("own-write", 2.5, outcome="lost", after=1),
)


def write(folder: Path, *, close: bool = True) -> Path:
    path = reads_path(folder, "paris")
    with ReadsFile(path) as out:
        out.mark(MARKS[0])
        out.mark(MARKS[1])
        for read in READS:
            out.read(read)
        if close:
            out.close(9.0)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    damage: list[str] = []
    found = read_all_reads(tmp_path, damage)
    assert damage == []
    assert found == (SiteReads(site="paris", marks=MARKS, reads=READS, complete=True),)


def test_a_line_says_only_what_is_known(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in write(tmp_path).read_text().splitlines()]
    assert lines[2] == {
        "seq": 2,
        "type": "read",
        "kind": "primary",
        "begin_s": 2.1,
        "t_s": 2.105,
        "outcome": "ok",
        "node": "db-orsay",
        "source": "primary",
        "seen": {"paris": 1, "orsay": 4},
    }
    assert lines[-1] == {"seq": 7, "type": "end", "t_s": 9.0}


def test_a_file_without_its_end_is_not_complete(tmp_path: Path) -> None:
    damage: list[str] = []
    assert not read_reads(write(tmp_path, close=False), "paris", damage).complete
    assert damage == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"kind": "bounded"', '"kind": "tea-leaves"', "line 5: kind is tea-leaves"),
        ('"outcome": "lost"', '"outcome": "found"', "line 7: outcome is found"),
        ('"outcome": "info"', '"outcome": "maybe"', "line 2: outcome is maybe"),
        ('"seen": {"paris": 1}', '"seen": {"paris": "1"}', "line 4: seen.paris is no integer"),
        ('"type": "end"', '"type": "fin"', "line 8 has an unknown type"),
        ('{"seq": 3', '{"seq": 4', "line 3 is missing"),
        ('"lsn": "0/64"', '"lsn": "here"', "line 2: "),
    ],
)
def test_damage_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = write(tmp_path)
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    damage: list[str] = []
    read_reads(path, "paris", damage)
    assert f"reads-paris.jsonl: {complaint}" in "\n".join(damage)


def test_a_line_behind_the_end_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path)
    last = path.read_text().splitlines()[-1]
    with path.open("a") as file:
        file.write(last.replace('"seq": 7', '"seq": 8') + "\n")
    damage: list[str] = []
    read_reads(path, "paris", damage)
    assert damage == ["reads-paris.jsonl: line 9 stands behind the end"]
