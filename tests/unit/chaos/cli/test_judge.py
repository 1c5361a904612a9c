"""``bascule judge``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaos.cli.main import bascule
from chaos.consistency.errors import HistoryFileError
from chaos.errors import OutputError

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


@pytest.mark.parametrize("model", ["counter", "set", "set-full", "bank", "long-fork", "comments"])
def test_where_there_is_no_order_none_is_written(model: str, stale: Path, tmp_path: Path) -> None:
    done = run(stale, "--as", model, "--proof", tmp_path / "order.txt")
    assert done.exit_code == 2
    assert "there is none to write" in done.stderr
    assert not (tmp_path / "order.txt").exists()
