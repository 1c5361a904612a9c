"""What the director knows of a load process: the lines of its history as they are written."""

from __future__ import annotations

import json
from pathlib import Path

from chaos.drill.loads import LoadProcess
from chaos.live.board import SiteBoard

ACKNOWLEDGED = {
    "type": "ok",
    "id": "paris-0-1",
    "t_s": 10.0,
    "attempt_s": 9.5,
    "attempts": 1,
    "node": "db-paris",
    "timeline": 1,
    "lsn": "0/60",
    "resolved": False,
}


def test_every_kind_of_end_is_counted(tmp_path: Path) -> None:
    load, board = LoadProcess("paris", "app-paris", tmp_path), SiteBoard()
    lines = [
        {"type": "invoke", "id": "paris-0-1", "worker": 0, "t_s": 9.5},
        ACKNOWLEDGED,
        {"type": "fail", "id": "paris-0-2", "t_s": 10.1, "attempts": 1, "error": "no"},
        {"type": "info", "id": "paris-0-3", "t_s": 10.2, "attempts": 1, "error": "who knows"},
        {"type": "already", "id": "paris-0-4", "t_s": 10.3, "attempts": 1},
    ]
    load.history_path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    load.follow(board, 10.4)
    assert (board.ok, board.fail, board.info, board.already) == (1, 1, 1, 1)
    assert (board.node, board.last_ok_s, load.last_attempt_s) == ("db-paris", 10.0, 9.5)


def test_what_an_earlier_call_had_applied_says_neither_where_nor_since_when(
    tmp_path: Path,
) -> None:
    """A bulk load that goes on is told so; the drill broke off at such a line."""
    load, board = LoadProcess("paris", "app-paris", tmp_path), SiteBoard()
    resolved = {"type": "ok", "id": "paris-0-2", "t_s": 11.0, "attempts": 1, "resolved": True}
    load.history_path.write_text(f"{json.dumps(ACKNOWLEDGED)}\n{json.dumps(resolved)}\n")
    load.follow(board, 11.1)
    assert (board.ok, board.last_ok_s) == (2, 11.0)
    assert (board.node, load.last_attempt_s) == ("db-paris", 9.5)


def test_a_line_that_is_half_written_counts_once_it_is_whole(tmp_path: Path) -> None:
    load, board = LoadProcess("paris", "app-paris", tmp_path), SiteBoard()
    line = f"{json.dumps(ACKNOWLEDGED)}\n"
    written = line * 3
    for end in range(0, len(written) + 1, 7):
        load.history_path.write_text(written[:end])
        load.follow(board, 10.4)
        assert board.ok == end // len(line)
    load.history_path.write_text(written)
    load.follow(board, 10.4)
    assert board.ok == 3


def test_what_a_workload_says_of_an_operation_is_no_end_of_it(tmp_path: Path) -> None:
    load, board = LoadProcess("paris", "app-paris", tmp_path), SiteBoard()
    invoked = {"type": "invoke", "id": "ok", "worker": 0, "t_s": 9.5, "work": {"value": "ok"}}
    failed = {"type": "fail", "id": "ok", "t_s": 9.6, "attempts": 1, "error": "ok"}
    load.history_path.write_text(f"{json.dumps(invoked)}\n{json.dumps(failed)}\n")
    load.follow(board, 10.4)
    assert (board.ok, board.fail, board.last_ok_s) == (0, 1, None)


def test_a_line_that_makes_no_sense_is_left_to_those_who_judge(tmp_path: Path) -> None:
    load, board = LoadProcess("paris", "app-paris", tmp_path), SiteBoard()
    damaged = json.dumps({**ACKNOWLEDGED, "t_s": None})
    load.history_path.write_text(f"{{\n5\n{damaged}\n{json.dumps(ACKNOWLEDGED)}\n")
    load.follow(board, 10.4)
    assert board.ok == 1
