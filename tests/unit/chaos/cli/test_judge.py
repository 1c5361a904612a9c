"""``bascule judge``: what it prints, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.evidence.stories import STEADY
from support.evidence.synthetic_run import write_run

from chaos.cli.main import bascule
from chaos.consistency.errors import HistoryFileError
from chaos.errors import NotARunFolderError, OutputError
from chaos.evidence.manifest import write_manifest
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.counter import CounterOptions

STALE = """\
{:type :invoke, :f :txn, :value [[:append 1 1]], :process 0}
{:type :ok, :f :txn, :value [[:append 1 1]], :process 0}
{:type :invoke, :f :txn, :value [[:r 1 nil]], :process 1}
{:type :ok, :f :txn, :value [[:r 1 []]], :process 1}
"""


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    path = tmp_path / "stale.edn"
    path.write_text(STALE)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bascule, ["judge", *map(str, arguments)])


def test_valid_with_its_proof(stale: Path, tmp_path: Path) -> None:
    proof = tmp_path / "order.txt"
    done = run(stale, "--as", "list-append", "--level", ":PL-3", "--proof", proof)
    assert done.exit_code == 0
    assert "VALID   list-append at serializable: 2 transactions" in done.stdout
    assert "1 read compared" in done.stdout
    assert proof.read_text() == "process 1, lines 3 to 4\nprocess 0, lines 1 to 2\n"


def test_invalid_with_its_circle(stale: Path) -> None:
    done = run(stale, "--as", "list-append")
    assert done.exit_code == 1
    assert "INVALID   list-append at strict-serializable" in done.stdout
    assert "T1: r 1 [] (process 1, outcome ok, lines 3 to 4)" in done.stdout
    assert "T1 -rw-> T2 -clock-> T1" in done.stdout


ONE_LINE = [
    {"type": kind, "f": "txn", "value": value, "process": process}
    for process, value in enumerate([[["append", 1, 1]], [["r", 1, []]]])
    for kind in ("invoke", "ok")
]


def test_a_list_on_one_line_is_told_by_its_operations(tmp_path: Path) -> None:
    path = tmp_path / "stale.json"
    path.write_text(json.dumps(ONE_LINE))
    done = run(path, "--as", "list-append")
    assert "T1: r 1 [] (process 1, outcome ok, operations 3 to 4)" in done.stdout
    proof = tmp_path / "order.txt"
    assert run(path, "--as", "list-append", "--level", "ser", "--proof", proof).exit_code == 0
    assert proof.read_text() == "process 1, operations 3 to 4\nprocess 0, operations 1 to 2\n"
    path.write_text(json.dumps([*ONE_LINE, {**ONE_LINE[0], "value": [["w", 1, 1]]}]))
    wrong = run(path, "--as", "list-append").exception
    assert isinstance(wrong, HistoryFileError)
    assert str(wrong).startswith(f"{path}, operation 5: ")
    added = [{"type": kind, "f": "add", "value": "x", "process": 0} for kind in ("invoke", "ok")]
    path.write_text(json.dumps(added))
    wrong = run(path, "--as", "counter").exception
    assert "operation 1: add of 'x', which is no whole number" in str(wrong)


def test_unknown_with_its_reason(stale: Path) -> None:
    stale.write_text(STALE + STALE)
    done = run(stale, "--as", "list-append", "--level", "rc")
    assert done.exit_code == 4
    assert "1 is appended more than once to key 1" in done.stdout


def test_as_json(stale: Path) -> None:
    done = run(stale, "--as", "list-append", "--level", "strong si", "--json")
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "invalid"
    assert answer["level"] == "strong-snapshot-isolation"
    (anomaly,) = answer["anomalies"]
    assert anomaly["name"] == "G-single-item-realtime"
    assert [one["process"] for one in anomaly["evidence"]] == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--as", "list-apend"), "did you mean list-append?"),
        (("--as", "list-append", "--level", "serialisable"), "did you mean serializable?"),
        ((), "--as"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(
    arguments: tuple[str, ...], said: str, stale: Path
) -> None:
    done = run(stale, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_what_is_no_history_is_an_error(stale: Path) -> None:
    stale.write_text("hello")
    done = run(stale, "--as", "list-append")
    assert isinstance(done.exception, HistoryFileError)
    assert run(stale.parent / "none.edn", "--as", "list-append").exit_code == 2


def test_the_proof_leaves_json_alone(stale: Path, tmp_path: Path) -> None:
    proof = tmp_path / "order.txt"
    done = run(stale, "--as", "list-append", "--level", "ser", "--json", "--proof", proof)
    assert json.loads(done.stdout)["verdict"] == "valid"
    assert done.stderr == f"wrote {proof}\n"


def test_a_proof_that_exists_is_found_before_the_history_is_read(stale: Path) -> None:
    stale.write_text("hello")
    done = run(stale, "--as", "list-append", "--proof", stale)
    assert isinstance(done.exception, OutputError)


@pytest.mark.parametrize("model", ["counter", "set", "set-full", "bank", "comments"])
def test_where_there_is_no_order_none_is_written(model: str, stale: Path, tmp_path: Path) -> None:
    done = run(stale, "--as", model, "--proof", tmp_path / "order.txt")
    assert done.exit_code == 2
    assert "there is none to write" in done.stderr
    assert not (tmp_path / "order.txt").exists()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A sealed run folder of the counter workload: two additions were told the same value."""
    spec = WorkloadSpec(options=CounterOptions())
    counting = replace(STEADY, scenario=replace(STEADY.scenario, workload=spec))
    folder = write_run(tmp_path / "run", counting)
    for path in sorted(folder.glob("history-*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["type"] == "ok":
                line["result"] = {"value": 1}
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_manifest(folder)
    return folder


def test_a_run_folder_says_itself_what_it_is(run_folder: Path) -> None:
    done = run(run_folder, "--json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["model"], answer["verdict"]) == (1, "counter", "invalid")
    assert "value-given-twice" in {anomaly["name"] for anomaly in answer["anomalies"]}
    assert run(run_folder, "--as", "counter", "--level", "bounded").exit_code == 1


def test_a_run_folder_is_judged_as_what_it_is(run_folder: Path, tmp_path: Path) -> None:
    other = run(run_folder, "--as", "list-append")
    assert (other.exit_code, "judged as counter" in other.stderr) == (2, True)
    ledger = write_run(tmp_path / "ledger", STEADY)
    done = run(ledger)
    assert done.exit_code == 2
    assert "the workload of" in done.stderr
    assert "append, register, counter, set" in done.stderr
    assert isinstance(run(tmp_path).exception, NotARunFolderError)


def test_a_file_needs_a_model(stale: Path) -> None:
    done = run(stale)
    assert (done.exit_code, "--as MODEL" in done.stderr) == (2, True)
