"""The run folder: what is written is read back; what is damaged is said, not raised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.tiny import POWER_CUT, op, run, scenario

from chaos.errors import ChaosError, DamagedRunError, FormatError, NotARunFolderError
from chaos.evidence.events import BootStepDone, EventLog, LeaderSeen, Phase, PhaseBegan
from chaos.evidence.folder import read_run, write_run_json
from chaos.evidence.history import STOPPED
from chaos.evidence.records import Stall
from chaos.evidence.run import Run
from chaos.evidence.scenario_json import scenario_from_dict, scenario_to_dict
from chaos.judge.judging import build_verdict
from chaos.judge.verdict_file import write_verdict
from replication.wire.wal import format_lsn, parse_lsn

INVOKE = {"type": "invoke", "id": "paris-0-1", "worker": 0, "t_s": 1.0}
OK = {
    "type": "ok",
    "id": "paris-0-1",
    "t_s": 1.005,
    "attempt_s": 1.001,
    "attempts": 2,
    "node": "db-orsay",
    "timeline": 1,
    "lsn": "0/3000060",
    "resolved": True,
}
END = {"type": "end", "t_s": 9.0, "operations": 1}
HEADER = {
    "type": "header",
    "t_s": 9.5,
    "node": "db-paris",
    "timeline": 2,
    "lsn": "0/5000148",
    "is_primary": True,
}
ROW = {"type": "row", "id": "paris-0-1", "content": "paris|0|1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with ``run.json`` and one event."""
    write_run_json(tmp_path, run(asked=scenario(faults=(POWER_CUT,))).info)
    with EventLog(tmp_path) as log:
        log.append(PhaseBegan(t_s=0.5, phase=Phase.STEADY))
    return tmp_path


def _read(folder: Path) -> Run:
    """Of a folder that is still written, and so has no manifest."""
    return read_run(folder, is_over=False)


def _write(path: Path, *lines: object, torn: str = "") -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + torn)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_lsns_are_read_as_they_are_written(lsn: int) -> None:
    assert parse_lsn(format_lsn(lsn)) == lsn


@pytest.mark.parametrize("text", ["", "0", "x/y", "0-3000060"])
def test_what_is_no_lsn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"LSN|literal"):
        parse_lsn(text)


def test_what_was_asked_is_read_back(folder: Path) -> None:
    asked = run(asked=scenario(faults=(POWER_CUT,))).info
    assert _read(folder).info == asked


def test_events_are_read_back_in_the_order_of_time(folder: Path) -> None:
    written = LeaderSeen(t_s=7.0, holder=None, revision=3)
    with EventLog(folder) as log:
        log.append(written)
        log.append(BootStepDone(t_s=0.1, step="dcs", elapsed_s=0.1))
    events = _read(folder).events
    assert [type(event) for event in events] == [BootStepDone, PhaseBegan, LeaderSeen]
    assert events[-1] == written


def _numbered(*numbers: int | None) -> list[dict[str, object]]:
    return [
        {**({} if seq is None else {"seq": seq}), "t_s": 1.0, "kind": "tick"} for seq in numbers
    ]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([0, 1, 2], []),
        ([None, None], []),
        ([0, 2], ["event 1 is missing"]),
        ([2, 3, 7], ["events 0 to 1 are missing", "events 4 to 6 are missing"]),
        ([0, 1, 1, 2], ["event 1 stands twice, or in the wrong place"]),
        ([0, None, 1], ["an event has no number (seq)"]),
    ],
)
def test_numbers_of_events_tell_which_are_missing(
    folder: Path, numbers: list[int | None], said: list[str]
) -> None:
    _write(folder / "events.jsonl", *_numbered(*numbers))
    assert list(_read(folder).damage) == [f"events.jsonl: {words}" for words in said]


def test_what_a_workload_says_of_its_operations_is_read_back(folder: Path) -> None:
    work = {"op": "total"}
    result = {"total": 300, "accounts": 3}
    _write(
        folder / "history-paris.jsonl",
        {**INVOKE, "entry": False, "work": work},
        {**OK, "result": result},
        {**INVOKE, "id": "open"},
        {"type": "info", "id": "open", "t_s": 8.0, "stopped": True, "error": "open"},
        {**INVOKE, "id": "old"},
        {"type": "info", "id": "old", "t_s": 8.0, "error": STOPPED},
        {**END, "operations": 3},
    )
    read = _read(folder)
    assert read.damage == ()
    total, stopped, old = read.histories[0].operations
    assert (total.leaves_entry, total.work, total.result) == (False, work, result)
    assert (stopped.leaves_entry, stopped.stopped, stopped.work) == (True, True, {})
    assert old.stopped


@pytest.mark.parametrize("work", [5, {"op": []}])
def test_what_a_workload_cannot_have_said_is_damage(folder: Path, work: object) -> None:
    _write(folder / "history-paris.jsonl", {**INVOKE, "work": work}, OK, END)
    assert "work" in _read(folder).damage[0]


def test_a_history_is_read_back(folder: Path) -> None:
    waiting = {**INVOKE, "id": "paris-0-2", "t_s": 2.0}
    stall = {"type": "stall", "t_s": 5.0, "stall_s": 0.31}
    _write(folder / "history-paris.jsonl", INVOKE, OK, stall, waiting)
    read = _read(folder)
    [history] = read.histories
    acknowledged, open_ = history.operations
    assert read.damage == ()
    assert (history.site, history.complete) == ("paris", False)
    assert (acknowledged.outcome, acknowledged.ended_s, acknowledged.resolved) == (
        "ok",
        1.005,
        True,
    )
    assert (acknowledged.lsn, acknowledged.attempts) == (0x3000060, 2)
    assert (open_.outcome, open_.ended_s) == ("info", None)
    assert history.stalls == (Stall(site="paris", t_s=5.0, stall_s=0.31),)


def test_a_last_line_that_is_cut_short_is_left_out_and_said(folder: Path) -> None:
    _write(folder / "history-paris.jsonl", INVOKE, OK, torn='{"type": "invoke", "id": "paris-0-3"')
    read = _read(folder)
    assert read.damage == ("history-paris.jsonl: line 3 is cut short",)
    assert len(read.histories[0].operations) == 1
    assert not read.histories[0].complete


def test_a_last_number_that_may_have_lost_digits_is_not_believed(folder: Path) -> None:
    _write(folder / "history-paris.jsonl", INVOKE, torn='{"type": "end", "t_s": 9.0}')
    assert not _read(folder).histories[0].complete


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({**OK, "id": "other"}, "other ended without being invoked before"),
        (INVOKE, "was invoked before"),
        ({**OK, "t_s": "soon"}, "t_s is no number"),
        ({**OK, "lsn": "nowhere"}, "not an LSN"),
        ({"type": "maybe"}, "unknown type"),
        (["a", "list"], "no JSON object"),
        ({**OK, "t_s": float("nan")}, "is no JSON"),
    ],
)
def test_lines_that_make_no_sense_are_said(folder: Path, line: object, said: str) -> None:
    _write(folder / "history-paris.jsonl", INVOKE, line)
    [damage] = _read(folder).damage
    assert damage.startswith("history-paris.jsonl")
    assert said in damage


@pytest.mark.parametrize(
    "event",
    [
        {"t_s": 1.0, "kind": "timeline", "timeline": 1, "end_lsn": "x"},
        {"t_s": 1.0, "kind": "child-exit", "host": "a"},
        {"t_s": 1.0, "kind": "phase"},
        {"kind": "phase", "phase": "steady"},
        {"t_s": 1.0, "kind": "boot", "step": ["a"]},
    ],
)
def test_events_that_no_checker_could_use_are_damage(folder: Path, event: object) -> None:
    _write(folder / "events.jsonl", event)
    read = _read(folder)
    assert read.events == ()
    assert len(read.damage) == 1


def test_a_cluster_may_have_settled_on_a_timeline_that_nobody_could_ask_for(folder: Path) -> None:
    _write(folder / "events.jsonl", {"t_s": 1.0, "kind": "settled", "timeline": None})
    read = _read(folder)
    assert (len(read.events), read.damage) == (1, ())


def test_a_final_read_is_read_back(folder: Path) -> None:
    _write(folder / "final-db-paris.jsonl", HEADER, ROW, {"type": "end", "rows": 1})
    _write(
        folder / "final-db-orsay.jsonl", {"type": "error", "node": "db-orsay", "error": "refused"}
    )
    orsay, paris = _read(folder).final_reads
    assert (paris.node, paris.is_primary, paris.timeline) == ("db-paris", True, 2)
    assert [row.id for row in paris.rows] == ["paris-0-1"]
    assert orsay.error == "refused"


def test_the_state_of_a_final_read_is_read_back_and_counted(folder: Path) -> None:
    state = {"type": "state", "id": "7", "content": "803"}
    path = folder / "final-db-paris.jsonl"
    _write(path, HEADER, ROW, state, {"type": "end", "rows": 1, "state": 1})
    [read] = _read(folder).final_reads
    assert [(row.id, row.content) for row in read.state] == [("7", "803")]
    assert [row.id for row in read.rows] == ["paris-0-1"]
    _write(path, HEADER, ROW, {"type": "end", "rows": 1, "state": 1})
    assert _read(folder).final_reads == ()
    assert "1 row, its end says 1 row and 1 of state" in _read(folder).damage[0]


def test_a_final_read_that_is_not_whole_proves_nothing(folder: Path) -> None:
    for lines in ([HEADER, ROW], [HEADER, {"type": "end", "rows": 1}], [ROW, END], []):
        _write(folder / "final-db-paris.jsonl", *lines)
        read = _read(folder)
        assert read.final_reads == ()
        assert "final-db-paris.jsonl" in read.damage[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER, HEADER, ROW, {"type": "end", "rows": 1}], "line 2: no header belongs there"),
        ([HEADER, {"type": "end", "rows": 0}, ROW], "line 3: stands behind the end"),
        ([HEADER, ROW, {"type": "error", "error": "refused"}], "line 3: no error belongs there"),
        ([{"type": "end", "rows": 0}, HEADER], "line 1: no end belongs there"),
        ([{**HEADER, "node": "db-orsay"}, {"type": "end", "rows": 0}], "line 1: it is of db-orsay"),
    ],
)
def test_a_final_read_is_a_header_then_rows_then_an_end_of_one_node(
    folder: Path, lines: list[object], said: str
) -> None:
    _write(folder / "final-db-paris.jsonl", *lines)
    read = _read(folder)
    assert read.final_reads == ()
    assert said in read.damage[0]


def test_nothing_stands_behind_the_end_of_a_history(folder: Path) -> None:
    _write(folder / "history-paris.jsonl", INVOKE, OK, END, {**INVOKE, "id": "late"})
    assert "history-paris.jsonl: line 4 stands behind the end" in _read(folder).damage


def test_a_worker_that_begins_again_without_an_end_is_damage(folder: Path) -> None:
    """Its last operation must have ended: the line of its end was lost."""
    path = folder / "history-paris.jsonl"
    other = {**INVOKE, "id": "paris-1-1", "worker": 1}
    again = {**INVOKE, "id": "paris-0-2"}
    _write(path, INVOKE, other, again, {**OK, "id": "paris-0-2"})
    said = "worker 0 begins paris-0-2, and the end of paris-0-1 (line 1) is missing"
    assert _read(folder).damage == (f"history-paris.jsonl: line 3: {said}",)
    # Whose process was killed may have had one open, each of its workers.
    _write(path, INVOKE, OK, other, again)
    assert _read(folder).damage == ()
    # Whose history was closed may not: what was open was ended before.
    _write(path, INVOKE, {**END, "operations": 1})
    said = "the end of paris-0-1 is missing, which worker 0 had open when the history was closed"
    assert _read(folder).damage == (f"history-paris.jsonl: line 1: {said}",)


def test_numbers_of_lines_tell_which_of_a_history_are_missing(folder: Path) -> None:
    path = folder / "history-paris.jsonl"
    stall = {"type": "stall", "t_s": 5.0, "stall_s": 0.31}
    lines = [{"seq": n, **line} for n, line in enumerate((INVOKE, OK, stall, END))]
    _write(path, *lines)
    assert _read(folder).damage == ()
    _write(path, *lines[:2], *lines[3:])
    assert _read(folder).damage == ("history-paris.jsonl: line 2 is missing",)
    _write(path, lines[2], *lines[:2], lines[3])
    assert "history-paris.jsonl: line 0 stands twice, or in the wrong place" in _read(folder).damage


def test_a_folder_without_events_is_damaged_not_refused(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    assert "events.jsonl: cannot be read" in _read(folder).damage[0]


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotARunFolderError) as refusal:
            read_run(path)
        assert refusal.value.folder == path
        assert isinstance(refusal.value, ChaosError)


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("seed", "seven", "seed"),
        ("sead", 7, "sead"),
        ("format_version", 4, "format_version"),
        ("scenario", {}, "scenario.name"),
        ("sites", [{"name": "paris"}], "sites[0].hosts"),
    ],
)
def test_a_damaged_run_json_says_where(folder: Path, key: str, value: object, where: str) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DamagedRunError) as damage:
        _read(folder)
    assert (damage.value.file, damage.value.key) == ("run.json", where)
    assert where in str(damage.value)


def test_a_run_json_that_is_no_json_says_so(folder: Path) -> None:
    (folder / "run.json").write_text("{")
    with pytest.raises(DamagedRunError):
        _read(folder)


def test_a_scenario_comes_back_as_it_was() -> None:
    asked = scenario(faults=(POWER_CUT,), failover="must")
    assert scenario_from_dict(json.loads(json.dumps(scenario_to_dict(asked)))) == asked


def test_an_unknown_key_of_a_scenario_names_the_nearest_one() -> None:
    value = scenario_to_dict(scenario()) | {"stedy_s": 5.0}
    with pytest.raises(FormatError, match="did you mean steady_s") as refusal:
        scenario_from_dict(value)
    assert refusal.value.key == "scenario.stedy_s"


def test_the_verdict_is_written_whole_and_alone(folder: Path) -> None:
    write_verdict(folder, build_verdict(run([op("a", 1.0)])))
    assert json.loads((folder / "verdict.json").read_text())["acknowledged"] == 1
    assert not list(folder.glob(".*"))
