"""``access.jsonl``: what was written is read again; damage is damage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from support.evidence.accesses import ESCAPE, OWN, answer, fingerprint

from chaos.evidence.access import (
    ACCESS,
    AccessEvidence,
    AccessFile,
    NodeTrail,
    Withdrawn,
    read_access_evidence,
)

WRITTEN = AccessEvidence(
    answers=(
        answer(OWN, "db-paris", 5.0, moment="before", rows=100),
        replace(answer(ESCAPE, "db-orsay", 6.0, outcome="refused"), words="permission denied"),
    ),
    prints=(
        fingerprint("db-paris", "before"),
        replace(
            fingerprint("db-orsay", "promoted"),
            is_primary=False,
            caught_up=False,
            rights={},
            doors={},
            error="no answer",
        ),
    ),
    withdrawn=(
        Withdrawn(probe=OWN, sql="REVOKE", begin_s=1.0, end_s=1.5, node="db-paris"),
        Withdrawn(probe=ESCAPE, sql="REVOKE", begin_s=2.0, end_s=2.5, error="no primary"),
    ),
    trails=(
        NodeTrail(node="db-paris", directory="../log", entries={"db-paris-1": "alice"}),
        NodeTrail(node="db-orsay", error="refused"),
    ),
    complete=True,
)


def write(folder: Path) -> None:
    with AccessFile(folder) as out:
        for one in WRITTEN.answers:
            out.answer(one)
        for found in WRITTEN.prints:
            out.fingerprint(found)
        for done in WRITTEN.withdrawn:
            out.withdrawal(done)
        for trail in WRITTEN.trails:
            out.trail(trail)
        out.close(9.0)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path)
    damage: list[str] = []
    assert read_access_evidence(tmp_path, damage) == WRITTEN
    assert damage == []


def test_a_folder_without_the_file_asked_nothing(tmp_path: Path) -> None:
    damage: list[str] = []
    assert read_access_evidence(tmp_path, damage) == AccessEvidence()
    assert damage == []


def test_lines_that_are_lost_or_make_no_sense_are_damage(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / ACCESS
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["outcome"] = "perhaps"
    lines[2]["rights"]["role alice"] = 7
    del lines[4], lines[-1]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    damage: list[str] = []
    found = read_access_evidence(tmp_path, damage)
    assert damage == [
        f"{ACCESS}: line 1: outcome is perhaps",
        f"{ACCESS}: line 3: rights.role alice is no text",
        f"{ACCESS}: line 4 is missing",
    ]
    assert not found.complete
    assert (len(found.answers), len(found.prints), len(found.withdrawn)) == (1, 1, 1)
