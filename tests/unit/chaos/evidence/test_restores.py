"""``restored/``: what was written is read, and what is wrong with it is damage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.evidence.final_reads import FinalReadFile
from chaos.evidence.restores import (
    RESTORED,
    RestoreRecord,
    new_test,
    read_restores,
    write_restore,
)

RECORD = RestoreRecord(
    host="db-orsay",
    entry="paris-0-17",
    xid="731",
    named_s=10.0,
    named_timeline=1,
    begin_s=12.0,
    usable_s=14.5,
    timeline=2,
    backup_label="START WAL LOCATION: 0/7000178 (file 000000010000000000000007)\n"
    "START TIME: 2026-11-27 11:34:57 UTC\nSTART TIMELINE: 1\n",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with one restore of two rows."""
    restored = new_test(tmp_path)
    write_restore(restored, RECORD)
    with FinalReadFile(restored, RECORD.host) as out:
        out.begin(t_s=14.5, timeline=2, lsn=None, is_primary=True)
        out.row("row", "paris-0-16", "16")
        out.row("row", "paris-0-17", "17")
        out.end()
    return tmp_path


def test_what_was_written_is_read(folder: Path) -> None:
    damage: list[str] = []
    [found] = read_restores(folder, damage)
    assert damage == []
    assert found.record == RECORD
    assert found.read is not None
    assert [row.id for row in found.read.rows] == ["paris-0-16", "paris-0-17"]
    assert (found.took_s, found.backup_timeline) == (2.5, 1)
    assert found.backed_up_at == datetime(2026, 11, 27, 11, 34, 57, tzinfo=UTC)


def test_a_folder_without_restores_has_none(tmp_path: Path) -> None:
    damage: list[str] = []
    assert read_restores(tmp_path, damage) == ()
    assert damage == []


def test_rows_that_were_cut_are_damage_and_prove_nothing(folder: Path) -> None:
    path = folder / RESTORED / "1" / "final-db-orsay.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    damage: list[str] = []
    [found] = read_restores(folder, damage)
    assert found.read is None
    assert damage == [f"{RESTORED}/1/final-db-orsay.jsonl: 2 rows, its end says None"]
    path.unlink()
    damage.clear()
    assert read_restores(folder, damage)[0].read is None
    assert damage == [f"{RESTORED}/1/final-db-orsay.jsonl: is missing"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"host": 1}'])
def test_a_record_that_makes_no_sense_is_damage(folder: Path, text: str) -> None:
    (folder / RESTORED / "1" / "db-orsay.json").write_text(text)
    damage: list[str] = []
    assert read_restores(folder, damage) == ()
    assert len(damage) == 1
    assert damage[0].startswith(f"{RESTORED}/1/db-orsay.json: ")


@pytest.mark.parametrize(
    "label", ["", "START TIME: 2026-11-27 11:34:57 CET\n", "START TIME: soon now UTC\n"]
)
def test_a_label_in_other_words_says_nothing(folder: Path, label: str) -> None:
    write_restore(folder / RESTORED / "1", replace(RECORD, backup_label=label))
    [found] = read_restores(folder, [])
    assert found.backed_up_at is None
    assert found.backup_timeline is None


def test_a_second_test_leaves_the_first_as_it_is(folder: Path) -> None:
    failed = replace(RECORD, usable_s=None, timeline=None, backup_label="", error="no space")
    write_restore(new_test(folder), failed)
    damage: list[str] = []
    first, second = read_restores(folder, damage)
    assert damage == [], "of a restore that failed nothing was read"
    assert (first.record, second.record) == (RECORD, failed)
    assert (second.read, second.took_s) == (None, None)
