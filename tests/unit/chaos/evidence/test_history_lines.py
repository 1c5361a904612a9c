"""Histories and final reads are written as ever, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.evidence.fields import Fields
from chaos.evidence.final_reads import FinalReadFile, read_final
from chaos.evidence.history import STOPPED, Closed, End, HistoryFile, Invocation, Stalled
from chaos.evidence.records import FinalRead, LedgerRow

LINES = (
    (
        Invocation(id="x-0-0", worker=0, t_s=1.5),
        '"type": "invoke", "id": "x-0-0", "worker": 0, "t_s": 1.5',
    ),
    (
        Invocation(
            id="x-0-0",
            worker=0,
            t_s=1.5,
            leaves_entry=False,
            work={"op": "total"},
            shared_unit="x+y-0-1",
        ),
        '"type": "invoke", "id": "x-0-0", "worker": 0, "t_s": 1.5, "unit": "x+y-0-1", '
        '"entry": false, "work": {"op": "total"}',
    ),
    (
        End(
            id="a",
            outcome="ok",
            t_s=2.5,
            attempt_s=1.5,
            attempts=3,
            node="db-a",
            timeline=2,
            lsn="0/3000060",
            result={"total": 300},
        ),
        '"type": "ok", "id": "a", "t_s": 2.5, "attempt_s": 1.5, "attempts": 3, "node": "db-a", '
        '"timeline": 2, "lsn": "0/3000060", "resolved": false, "result": {"total": 300}',
    ),
    (
        End(id="a", outcome="ok", t_s=2.5, resolved=True),
        '"type": "ok", "id": "a", "t_s": 2.5, "attempts": 1, "resolved": true',
    ),
    (
        End(id="a", outcome="fail", t_s=2.5, attempts=4, error="no", node="b", sqlstate="57P01"),
        '"type": "fail", "id": "a", "t_s": 2.5, "attempts": 4, "error": "no", "node": "b", '
        '"sqlstate": "57P01"',
    ),
    (
        End(id="a", outcome="info", t_s=2.5, error="é"),
        '"type": "info", "id": "a", "t_s": 2.5, "attempts": 1, "error": "\\u00e9"',
    ),
    (
        End(id="a", outcome="already", t_s=2.5, node="b"),
        '"type": "already", "id": "a", "t_s": 2.5, "attempts": 1, "node": "b"',
    ),
    (
        End(id="a", outcome="info", t_s=2.5, stopped=True, error=STOPPED),
        '"type": "info", "id": "a", "t_s": 2.5, "stopped": true, '
        '"error": "still open when the load was stopped"',
    ),
    (Stalled(t_s=3.0, stall_s=0.31), '"type": "stall", "t_s": 3.0, "stall_s": 0.31'),
    (Closed(t_s=4.0, operations=2), '"type": "end", "t_s": 4.0, "operations": 2'),
)


def test_a_history_is_written_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "history-x.jsonl"
    with HistoryFile(path) as file:
        for what, _ in LINES:
            file.write(what)
    assert path.read_text(encoding="utf-8").splitlines() == [
        f'{{"seq": {seq}, {line}}}' for seq, (_, line) in enumerate(LINES)
    ]


@pytest.mark.parametrize("what", [what for what, _ in LINES if not isinstance(what, Closed)])
def test_a_line_is_read_back(what: Invocation | End | Stalled) -> None:
    assert type(what).read(Fields(what.line())) == what


def test_a_final_read_is_written_as_ever_and_read_back(tmp_path: Path) -> None:
    with FinalReadFile(tmp_path, "db-a") as out:
        out.begin(t_s=1.5, timeline=2, lsn="0/C8", is_primary=True)
        out.row("row", "x-0-0", "x|0")
        out.row("state", "7", "803")
        out.end()
    path = tmp_path / "final-db-a.jsonl"
    assert path.read_text(encoding="utf-8").splitlines() == [
        '{"type": "header", "t_s": 1.5, "node": "db-a", "timeline": 2, "lsn": "0/C8", '
        '"is_primary": true}',
        '{"type": "row", "id": "x-0-0", "content": "x|0"}',
        '{"type": "state", "id": "7", "content": "803"}',
        '{"type": "end", "rows": 1, "state": 1}',
    ]
    damage: list[str] = []
    assert read_final(path, "db-a", damage) == FinalRead(
        node="db-a",
        rows=(LedgerRow(id="x-0-0", content="x|0"),),
        state=(LedgerRow(id="7", content="803"),),
        timeline=2,
        lsn=0xC8,
        is_primary=True,
    )
    assert damage == []


def test_a_node_that_could_not_be_read_has_its_reason_alone(tmp_path: Path) -> None:
    with FinalReadFile(tmp_path, "db-a") as out:
        out.begin(t_s=1.5, timeline=2, lsn=None, is_primary=False)
    with FinalReadFile(tmp_path, "db-a") as out:
        out.fail("not reached")
    path = tmp_path / "final-db-a.jsonl"
    assert path.read_text() == '{"type": "error", "node": "db-a", "error": "not reached"}\n'
    assert read_final(path, "db-a", []) == FinalRead(node="db-a", error="not reached")
