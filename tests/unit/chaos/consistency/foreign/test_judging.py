"""From files to answers: each model has a history that it must accept and one to reject."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.errors import HistoryFileError
from chaos.consistency.models import MODELS
from chaos.findings import Verdict


def _edn(text: str) -> str:
    """One operation a line: ``0 :invoke :add 5`` is process, type, f and value."""
    lines = []
    for line in text.strip().splitlines():
        process, kind, f, *value = line.split(maxsplit=3)
        lines.append(
            f"{{:process {process}, :type {kind}, :f {f}, :value {value[0] if value else 'nil'}}}"
        )
    return "\n".join(lines)


def _done(f: str, asked: str = "", answered: str | None = None, *, process: int = 0) -> str:
    seen = asked if answered is None else answered
    return f"{process} :invoke {f} {asked}\n{process} :ok {f} {seen}\n"


WRITE_1, READ_1, READ_2 = _done(":write", "1"), _done(":read", "", "1"), _done(":read", "", "2")
ADD_1 = _done(":add", "1")
FIRST = _done(":read", "", "{0 5, 1 5}")
STORIES = [
    ("register", WRITE_1 + READ_1, WRITE_1 + READ_2),
    ("cas-register", WRITE_1 + _done(":cas", "[1 2]") + READ_2, WRITE_1 + _done(":cas", "[2 3]")),
    ("mutex", _done(":acquire") + _done(":release"), _done(":acquire") + _done(":acquire")),
    (
        "multi-register",
        _done(":txn", "[[:write :x 1]]") + _done(":txn", "[[:read :x 1]]"),
        _done(":txn", "[[:write :x 1]]") + _done(":txn", "[[:read :x 2]]"),
    ),
    ("counter", ADD_1 + READ_1, ADD_1 + READ_2),
    ("set", ADD_1 + _done(":read", "", "#{1}"), ADD_1 + _done(":read", "", "#{}")),
    ("set-full", ADD_1 + _done(":read", "", "#{1}"), ADD_1 + _done(":read", "", "[1 1]")),
    ("bank", FIRST + _done(":read", "", "{0 4, 1 6}"), FIRST + _done(":read", "", "{0 5, 1 6}")),
    (
        "long-fork",
        _done(":read", "", "[[:r 0 1] [:r 1 nil]]") + _done(":read", "", "[[:r 0 1] [:r 1 1]]"),
        _done(":read", "", "[[:r 0 1] [:r 1 nil]]") + _done(":read", "", "[[:r 0 nil] [:r 1 1]]"),
    ),
    (
        "comments",
        WRITE_1 + _done(":write", "2") + _done(":read", "", "#{1 2}"),
        WRITE_1 + _done(":write", "2") + _done(":read", "", "#{2}"),
    ),
]


def _judged(folder: Path, model: str, text: str, level: str | None = None) -> HistoryAnswer:
    file = folder / "history"
    file.write_text(text)
    known = MODELS[model]
    return known.load()(file, level or known.default_level)


@pytest.mark.parametrize(("model", "good", "bad"), STORIES)
def test_each_model_accepts_and_rejects(tmp_path: Path, model: str, good: str, bad: str) -> None:
    accepted, rejected = (_judged(tmp_path, model, _edn(text)) for text in (good, bad))
    assert accepted.verdict is Verdict.VALID, accepted.reason
    assert accepted.proof is not None
    assert rejected.verdict is Verdict.INVALID, rejected.reason
    assert rejected.anomalies
    assert (accepted.model, rejected.model) == (model, model)
    for answer in (accepted, rejected):
        json.dumps(answer.to_json())


@pytest.mark.parametrize(("seen", "verdict"), [("ab", Verdict.VALID), ("b", Verdict.INVALID)])
def test_texts_under_keys(tmp_path: Path, seen: str, verdict: Verdict) -> None:
    text = "".join(
        f'{{:process 0, :type :{kind}, :f :{f}, :key "k", :value "{value}"}}\n'
        for f, value in (("put", "a"), ("append", "b"), ("get", seen))
        for kind in ("invoke", "ok")
    )
    assert _judged(tmp_path, "kv", text).verdict is verdict


def test_json_is_judged_alike(tmp_path: Path) -> None:
    operations = [
        {"process": 0, "type": kind, "f": "read", "value": value}
        for kind, value in (("invoke", None), ("ok", {"0": 5, "1": 5}))
    ]
    assert _judged(tmp_path, "bank", json.dumps(operations)).verdict is Verdict.VALID
    operations += [dict(operations[0]), {**operations[1], "value": {"0": 5, "1": 7}}]
    assert _judged(tmp_path, "bank", json.dumps(operations)).verdict is Verdict.INVALID


def test_a_log_is_judged_by_porcupines_conventions(tmp_path: Path) -> None:
    """Nil was read after a write: to Knossos that says nothing, to Porcupine it is wrong."""
    log = "\n".join(
        f"INFO  jepsen.util - 0 :{kind} :{f} {value}"
        for f, asked, seen in (("write", "1", "1"), ("read", "nil", "nil"))
        for kind, value in (("invoke", asked), ("ok", seen))
    )
    assert _judged(tmp_path, "register", log).verdict is Verdict.INVALID
    edn = _edn(WRITE_1 + _done(":read"))
    assert _judged(tmp_path, "register", edn).verdict is Verdict.VALID


READ_0 = _done(":read", "", "0")


def test_zero_at_first_is_taken_where_only_that_explains_the_reads(tmp_path: Path) -> None:
    answer = _judged(tmp_path, "register", _edn(READ_0 + WRITE_1 + READ_1))
    assert answer.verdict is Verdict.VALID
    assert "held 0 at first" in answer.notes[0]
    assert _judged(tmp_path, "register", _edn(READ_1)).verdict is Verdict.INVALID


def test_zero_and_nil_at_first_are_unknown(tmp_path: Path) -> None:
    answer = _judged(tmp_path, "register", _edn(_done(":read") + READ_0))
    assert answer.verdict is Verdict.UNKNOWN
    assert "Begin it with a write." in answer.reason


@pytest.mark.parametrize(
    ("model", "text"),
    [("mutex", _edn(WRITE_1)), ("counter", _edn(_done(":add", ":x"))), ("bank", _edn(READ_1))],
)
def test_what_is_no_history_of_the_model_names_file_and_line(
    tmp_path: Path, model: str, text: str
) -> None:
    with pytest.raises(HistoryFileError) as caught:
        _judged(tmp_path, model, text)
    assert caught.value.file == str(tmp_path / "history")
    assert caught.value.line > 0
