"""Foreign histories of list-append: what is uncertain, what is wrong, and the quick way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.consistency.append.files import judge_file, read_transactions
from chaos.consistency.append.histories import from_events
from chaos.consistency.append.quick import NotPlainError, read_quickly
from chaos.consistency.errors import HistoryFileError
from chaos.consistency.foreign.jepsen import events_of_text, read_events
from chaos.consistency.transactions.columns import FAIL, INFO, NEVER, OK, Transactions
from chaos.findings import Verdict

EDN = """\
; a comment
{:type :invoke, :f :txn, :value [[:append 1 1] [:r 2 nil]], :process 0, :time 5, :index 0}
#jepsen.history.Op{:type :info, :f :start, :process :nemesis, :value nil, :index 1}
{:type :invoke :f :txn :value [[ :r 1 nil ][:r 2 nil]] :process 1}
{:type :ok, :f :txn, :value [[:append 1 1] [:r 2 nil]], :process 0}
{:type :info, :f :txn, :value [[:r 1 nil] [:r 2 nil]], :process 1, :error [:conn "lost; it"]}
{:type :invoke, :f :txn, :value [[:append 2 7] [:append 2 8]], :process 2}
{:type :fail, :f :txn, :value [[:append 2 7] [:append 2 8]], :process 2, :error :abort}
{:type :invoke, :f :txn, :value [[:append 1 3]], :process 3}
"""


def operations() -> list[dict[str, object]]:
    """What is written above, as JSON has it."""
    return [
        {"type": one.type, "f": one.f, "value": one.value, "process": one.process}
        for one in events_of_text(EDN)
    ]


def as_json_lines() -> str:
    return "".join(json.dumps(one) + "\n" for one in operations())


def as_json_list() -> str:
    return json.dumps(operations())


def as_json_list_in_lines() -> str:
    return "[" + ",\n".join(json.dumps(one) for one in operations()) + "]\n"


def as_edn_vector() -> str:
    return f"[{EDN}]"


def write(folder: Path, text: str) -> Path:
    path = folder / "history"
    path.write_text(text)
    return path


def check(history: Transactions) -> None:
    assert history.outcome.tolist() == [OK, INFO, FAIL, INFO]
    assert history.process.tolist() == [0, 1, 2, 3]
    assert history.ended[1:].tolist() == [NEVER] * 3
    assert history.began[1] < history.ended[0] < history.began[2]
    assert history.op.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert history.is_read.tolist() == [False, True, True, True, False, False, False]
    assert history.length.tolist() == [-1, 0, -1, -1, -1, -1, -1]
    keys = [history.key_name(int(key)) for key in history.key]
    assert keys == [1, 2, 1, 2, 2, 2, 1]
    appended = [
        int(one) for one, read in zip(history.value, history.is_read, strict=True) if not read
    ]
    assert [history.value_name(one) for one in appended] == [1, 7, 8, 3]


@pytest.mark.parametrize(
    "text",
    [EDN, as_edn_vector(), as_json_lines(), as_json_list(), as_json_list_in_lines()],
    ids=["edn", "edn vector", "json lines", "json list", "json list in lines"],
)
def test_every_notation_is_the_same_history(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    check(from_events(read_events(path)))
    check(read_transactions(path))


@pytest.mark.parametrize("text", [EDN, as_json_lines(), as_json_list_in_lines()])
def test_whole_numbers_in_lines_are_read_quickly(text: str, tmp_path: Path) -> None:
    history = read_quickly(write(tmp_path, text))
    check(history)
    assert history.details(0)["ended_line"] == history.ended[0] + 1
    assert history.details(2)["outcome"] == "fail"


@pytest.mark.parametrize(
    "line",
    [
        "{:type :ok, :value [[:append :x 1]], :process 0}",
        '{:type :ok, :value [[:append "x" 1]], :process 0}',
        "{:type :ok, :value [[:append 1 -1]], :process 0}",
        "{:type :ok, :value [[:append 1 4294967296]], :process 0}",
        "{:type :ok, :value [[:append 1 1.5]], :process 0}",
        "{:type :ok, :value [[:r 1]], :process 0}",
        "{:type :ok, :value [[:r 1 5]], :process 0}",
        "{:type :ok, :value [[:w 1 5]], :process 0}",
        "{:type :ok, :value 5, :process 0}",
        "{:type :ok, :value [[:append 1\n 1]], :process 0}",
        "{:type :ok, :value [[:append 1 1]], :process 7}",
        "{:type :ok, :value [[:append 1 1]]}",
        "{:type :odd, :value [[:append 1 1]], :process 0}",
        "no operation",
    ],
)
def test_what_is_not_plain_is_left_to_the_other_reader(line: str, tmp_path: Path) -> None:
    begin = "{:type :invoke, :value [[:append 9 9]], :process 0}\n"
    with pytest.raises(NotPlainError):
        read_quickly(write(tmp_path, f"{begin}{line}\n"))


def test_keys_and_values_may_be_anything(tmp_path: Path) -> None:
    text = '{:type :ok, :process 0, :value [[:append :k "a"] [:r [1 2] nil] [:r :k ["a"]]]}'
    history = read_transactions(write(tmp_path, text))
    assert [history.key_name(key) for key in range(history.keys)] == ["k", (1, 2)]
    assert history.began.tolist() == [-1]
    assert judge_file(write(tmp_path, text), "serializable").verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("{:type :ok, :process 0, :value [[:w 1 2]]}", 1, "no micro-operation"),
        ("\n\n{:type :ok, :process 0, :value [[:r 1 2]]}", 3, "no list"),
        ("{:type :ok, :process 0, :value 5}", 1, "no micro-operation"),
        ("{:type :begin, :process 0}", 1, "type 'begin'"),
        ("5", 1, "expected an operation"),
        ("[{:type :ok, :process 0}\n {:type :odd, :process 0}]\n", 2, "type 'odd'"),
        ("{:type :ok", 1, "never closed"),
        ('{"type":"ok","process":0}\n{"type":', 2, "no JSON"),
    ],
)
def test_what_is_no_history_is_said_with_its_line(
    text: str, line: int, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(HistoryFileError, match=reason) as caught:
        read_transactions(path)
    assert (caught.value.file, caught.value.line) == (str(path), line)


def test_what_is_no_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "history.gz"
    path.write_bytes(b"\x1f\x8b\xff\xfe")
    with pytest.raises(HistoryFileError, match="no text"):
        read_transactions(path)
