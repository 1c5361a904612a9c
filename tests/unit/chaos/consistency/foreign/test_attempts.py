"""Beginnings and ends that belong together, as Jepsen logs them."""

from __future__ import annotations

from pathlib import Path

from support.consistency.attempts import attempts

from chaos.consistency.foreign.attempts import read_attempts


def test_an_end_belongs_to_the_last_beginning_of_its_process() -> None:
    some = attempts(
        "0 :invoke :read\n1 :invoke :add 5\n0 :ok :read 7\n0 :invoke :add 6\n0 :fail :add 6"
    )
    assert [(one.f, one.outcome, one.began, one.ended) for one in some] == [
        ("read", "ok", 0, 2),
        ("add", "info", 1, None),
        ("add", "fail", 3, 4),
    ]
    assert some[0].answered == 7
    assert str(some[0]) == "the read by process 0 (line 1, to 3)"
    assert str(some[1]) == "the add by process 1 (line 2, open)"


def test_an_info_without_a_beginning_is_no_attempt() -> None:
    assert attempts("0 :info :crash") == []


def test_without_processes_the_oldest_of_the_same_f_ends(tmp_path: Path) -> None:
    file = tmp_path / "comments.edn"
    file.write_text(
        "{:type :invoke :f :read}{:type :invoke :f :write :value 1}"
        "{:type :ok :f :write :value 1}{:type :ok :f :read :value #{1}}"
    )
    some = read_attempts(file)
    assert [(one.f, one.ended) for one in some] == [("read", 3), ("write", 2)]
    assert str(some[1]) == "the write (event 2, to 3)"
