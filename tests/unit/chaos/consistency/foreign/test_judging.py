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


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("process", ['"worker-1"', "1.5", "true", "18446744073709551616"])
def test_a_process_that_is_no_number_is_refused(tmp_path: Path, model: str, process: str) -> None:
    """Left out in silence, it would leave a history without operations, which is VALID."""
    text = "\n".join(
        f'{{"type": "{kind}", "f": "read", "value": null, "process": {process}}}'
        for kind in ("invoke", "ok")
    )
    with pytest.raises(HistoryFileError, match="no number of a client") as caught:
        _judged(tmp_path, model, text)
    assert caught.value.line == 1


@pytest.mark.parametrize("process", ["nemesis", ":nemesis"])
def test_the_nemesis_is_left_out(tmp_path: Path, process: str) -> None:
    text = f'{{"type": "info", "f": "start", "process": "{process}"}}'
    answer = _judged(tmp_path, "register", text)
    assert answer.counts["operations"] == 0


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("text", ["", "[]", "{:process :nemesis, :type :info, :f :start}"])
def test_without_an_operation_it_is_unknown(tmp_path: Path, model: str, text: str) -> None:
    assert _judged(tmp_path, model, text).verdict is Verdict.UNKNOWN


LISTS = _done(":txn", "[[:append 1 1] [:r 2 nil]]", "[[:append 1 1] [:r 2 [5]]]")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        *((model, LISTS) for model in sorted(MODELS.keys() - {"list-append"})),
        *((model, WRITE_1 + READ_1) for model in ("counter", "set", "set-full", "long-fork")),
        ("bank", ADD_1 + FIRST),
        ("comments", ADD_1 + _done(":read", "", "[1]")),
    ],
)
def test_a_history_of_another_model_is_refused(tmp_path: Path, model: str, text: str) -> None:
    with pytest.raises(HistoryFileError):
        _judged(tmp_path, model, _edn(text))


def test_large_numbers_in_json_are_told_apart(tmp_path: Path) -> None:
    text = "\n".join(
        f'{{"type": "{kind}", "f": "{f}", "value": {value}, "process": 0}}'
        for f, value in (("write", 2**64), ("read", 2**64 + 1))
        for kind in ("invoke", "ok")
    )
    assert _judged(tmp_path, "register", text).verdict is Verdict.INVALID
    listed = f"[{text.replace(chr(10), ',')}]"
    assert _judged(tmp_path, "register", listed).verdict is Verdict.INVALID


def test_the_first_line_of_a_log_with_a_mark_of_its_encoding_counts(tmp_path: Path) -> None:
    log = "\n".join(
        f"INFO  jepsen.util - 0 :{kind} :{f} {value}"
        for f, asked, seen in (("write", "1", "1"), ("read", "nil", "1"))
        for kind, value in (("invoke", asked), ("ok", seen))
    )
    assert _judged(tmp_path, "register", f"\ufeff{log}").verdict is Verdict.VALID


def _json(f: str, value: str) -> str:
    return f'{{"type": "invoke", "process": 0, "f": "{f}", "value": {value}}}'


READ_OF_A_LIST = _json("txn", '[["append", 1, 1], ["r", 2, {}]]')
NINES = "9" * 5_000
DEEP = "[" * 20_000 + "]" * 20_000
LESS_DEEP = "[" * 900 + "]" * 900
"""More than Python's stack holds, less than what orjson refuses."""


@pytest.mark.parametrize(
    ("model", "text"),
    [
        pytest.param("register", _edn(_done(":write", NINES)), id="nines"),
        pytest.param("register", _json("write", NINES), id="nines in json"),
        pytest.param("register", f"INFO  jepsen.util - 0 :invoke :write {NINES}", id="in a log"),
        pytest.param("register", _edn(_done(":write", DEEP)), id="deep"),
        pytest.param("register", _json("write", DEEP), id="deep in json"),
        pytest.param("register", _json("write", LESS_DEEP), id="less deep in json"),
        pytest.param(
            "list-append", _json("txn", f'[["append", 1, {LESS_DEEP}]]'), id="deep element"
        ),
        ("register", "INFO  jepsen.util - 0 :invoke :cas nil"),
        ("register", "{:process 0, :type [1], :f :read}"),
        ("list-append", '{"process": 0, "type": [1], "f": "txn"}'),
        pytest.param("rw-register", _json("txn", f'[["w", 1, {LESS_DEEP}]]'), id="deep value"),
        ("list-append", _json("txn", "[5]")),
        ("list-append", _edn(_done(":txn", '[["r" 1 nil]]', '[["r" 1 {}]]'))),
        ("list-append", f"{READ_OF_A_LIST}\n{READ_OF_A_LIST.replace('invoke', 'ok')}"),
        ("list-append", f'{{"process": {2**63}, "type": "invoke", "f": "txn", "value": []}}'),
        ("multi-register", _edn(_done(":txn", "[[[:read] :x 1]]"))),
        ("long-fork", _edn(_done(":read", "", "[[[:r] 0 1]]"))),
        ("long-fork", _edn(_done(":read", "", "[[:r {0 1} 1]]"))),
        ("comments", _edn(WRITE_1 + _done(":read", "", "[1 [2]]"))),
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_crash(
    tmp_path: Path, model: str, text: str
) -> None:
    with pytest.raises(HistoryFileError):
        _judged(tmp_path, model, text)


@pytest.mark.parametrize(
    "operation",
    ['["append", 1, [0, 5]]', '["append", [1, 2], [0, [5]]]', '["append", {"a": 1}, {}]'],
)
def test_keys_and_elements_may_be_collections(tmp_path: Path, operation: str) -> None:
    """The quick reader of whole numbers must leave them to the other one."""
    in_json = "\n".join(
        f'{{"process": 0, "type": "{kind}", "f": "txn", "value": [{operation}]}}'
        for kind in ("invoke", "ok")
    )
    for text in (in_json, _edn(_done(":txn", f"[{operation}]".replace(":", "")))):
        assert _judged(tmp_path, "list-append", text).verdict is Verdict.VALID


def test_maps_are_the_same_in_any_order(tmp_path: Path) -> None:
    text = _edn(_done(":write", "{:a 1, :b 2}") + _done(":read", "", "{:b 2, :a 1}"))
    assert _judged(tmp_path, "register", text).verdict is Verdict.VALID


def test_operations_of_a_json_list_stand_on_their_own_lines(tmp_path: Path) -> None:
    lines = ["", "[", _json("write", "1") + ",", _json("explode", "2"), "]"]
    with pytest.raises(HistoryFileError) as caught:
        _judged(tmp_path, "register", "\n".join(lines))
    assert caught.value.line == 4


def test_edn_after_a_comment_with_json_is_edn(tmp_path: Path) -> None:
    text = '; {"x": 1}\n' + _edn(WRITE_1 + READ_1)
    assert _judged(tmp_path, "register", text).verdict is Verdict.VALID


def test_a_line_separator_in_a_text_of_json_ends_no_line(tmp_path: Path) -> None:
    text = _json("write", '"a\u2028b"') + "\n" + _json("write", "2")
    assert _judged(tmp_path, "register", text).verdict is Verdict.VALID
