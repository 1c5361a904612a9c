"""Foreign histories of rw-register: both notations, what is uncertain, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.consistency.errors import HistoryFileError
from chaos.consistency.rw_register.files import judge_file
from chaos.findings import Verdict

EDN = """\
{:type :invoke, :f :txn, :value [[:w :x 1] [:r :y nil]], :process 0, :index 0}
{:type :info, :f :start, :process :nemesis, :value nil, :index 1}
{:type :ok, :f :txn, :value [[:w :x 1] [:r :y nil]], :process 0}
#jepsen.history.Op{:type :invoke, :f :txn, :value [[:r :x nil]], :process 1}
{:type :ok, :f :txn, :value [[:r :x %s]], :process 1}
{:type :invoke, :f :txn, :value [[:w :x 2] [:r :x nil]], :process 2}
{:type :info, :f :txn, :value [[:w :x 2] [:r :x nil]], :process 2}
"""
JSON = """\
[{"type":"invoke","f":"txn","value":[["w","x",1],["r","y",null]],"process":0,"index":0},
{"type":"ok","f":"txn","value":[["w","x",1],["r","y",null]],"process":0,"index":1},
{"type":"invoke","f":"txn","value":[["r","x",null]],"process":1,"index":2},
{"type":"ok","f":"txn","value":[["r","x",%s]],"process":1,"index":3},
{"type":"invoke","f":"txn","value":[["w","x",2],["r","x",null]],"process":2,"index":4},
{"type":"info","f":"txn","value":[["w","x",2],["r","x",null]],"process":2,"index":5}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "history"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "seen", "expected"),
    [
        (EDN, "1", Verdict.VALID),
        (EDN, "nil", Verdict.INVALID),
        (EDN, "2", Verdict.UNKNOWN),
        (JSON, "1", Verdict.VALID),
        (JSON, "null", Verdict.INVALID),
        (JSON, "2", Verdict.UNKNOWN),
    ],
)
def test_both_notations_say_the_same(
    text: str, seen: str, expected: Verdict, tmp_path: Path
) -> None:
    """2 is written by a transaction that began only afterwards."""
    answer = judge_file(write(tmp_path, text % seen), "strict-serializable")
    assert answer.verdict is expected
    assert answer.model == "rw-register"
    assert answer.counts == {
        "transactions": 3,
        "acknowledged": 2,
        "reads": 3,
        "writes": 2,
        "keys": 2,
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[[:append :x 1]]", "is no micro-operation of rw-register"),
        ("[[:w :x]]", "is no micro-operation of rw-register"),
        ("[[:w :x {:a 1}]]", "is no micro-operation of rw-register"),
        ("7", "is no micro-operation of rw-register"),
    ],
)
def test_what_is_no_transaction_is_an_error(value: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{{:type :ok, :f :txn, :value {value}, :process 0}}\n")
    with pytest.raises(HistoryFileError, match=said) as caught:
        judge_file(path, "serializable")
    assert caught.value.line == 1
    assert "[w key value]" in caught.value.remedy
