"""``rebuilt/``: what was written is read, also half known, and what is wrong with it is damage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.evidence.rebuilds import REBUILT, Rebuild, read_rebuilds, write_rebuild

NAMED = Rebuild(entry="paris-0-17", xid="731", age_s=5.0, named_s=10.0, named_timeline=1)
WHOLE = replace(
    NAMED,
    dead_s=11.0,
    host="db-orsay",
    begin_s=12.0,
    recovered_s=13.0,
    withdrawn_again=("bruno reads",),
    primary_s=16.5,
    timeline=3,
    backup_label="START TIME: 2026-11-27 11:34:57 UTC\nSTART TIMELINE: 1\n",
)


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    for number in range(1, 12):
        write_rebuild(tmp_path, number, replace(NAMED, entry=str(number)))
    write_rebuild(tmp_path, 11, WHOLE)  # again, as more is known
    damage: list[str] = []
    found = read_rebuilds(tmp_path, damage)
    assert damage == []
    assert [one.entry for one in found] == [*map(str, range(1, 11)), "paris-0-17"]
    assert found[-1] == WHOLE
    assert (WHOLE.took_s, WHOLE.point_s, WHOLE.backup_timeline) == (4.5, 5.0, 1)
    assert WHOLE.backed_up_at == datetime(2026, 11, 27, 11, 34, 57, tzinfo=UTC)
    assert (NAMED.took_s, NAMED.backup_timeline) == (None, None)


def test_a_folder_without_any_has_none(tmp_path: Path) -> None:
    damage: list[str] = []
    assert read_rebuilds(tmp_path, damage) == ()
    assert damage == []


@pytest.mark.parametrize("text", ["", "{}", '{"entry": 1}', "[]"])
def test_what_cannot_be_read_is_damage(tmp_path: Path, text: str) -> None:
    write_rebuild(tmp_path, 1, WHOLE)
    (tmp_path / REBUILT / "2.json").write_text(text)
    damage: list[str] = []
    assert read_rebuilds(tmp_path, damage) == (WHOLE,)
    assert len(damage) == 1
    assert damage[0].startswith("rebuilt/2.json: ")
