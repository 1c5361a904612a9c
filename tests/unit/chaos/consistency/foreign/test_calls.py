"""Knossos' and Porcupine's conventions: what failed did not happen, a read of nil says nothing."""

from __future__ import annotations

import pytest
from support.consistency.attempts import attempts

from chaos.consistency.errors import HistoryValueError
from chaos.consistency.foreign.attempts import attempts_of
from chaos.consistency.foreign.calls import (
    lock_calls,
    register_calls,
    text_calls,
    transaction_calls,
)
from chaos.consistency.foreign.jepsen import events_of_text


def test_what_failed_did_not_happen_and_nil_says_nothing() -> None:
    calls = register_calls(
        attempts(
            "0 :invoke :cas [1 2]\n0 :fail :cas [1 2]\n0 :invoke :write 3\n0 :fail :write 3\n"
            "0 :invoke :read\n0 :ok :read nil\n0 :invoke :read\n0 :info :read\n"
            "1 :invoke :write 4\n1 :info :write 4\n2 :invoke :read\n2 :ok :read 4"
        )
    )
    assert [(call.f, call.value, call.is_open) for call in calls] == [
        ("write", 4, True),
        ("read", 4, False),
    ]


def test_a_key_before_each_value_is_the_register() -> None:
    calls = register_calls(
        attempts(
            "0 :invoke :read [7 nil]\n0 :ok :read [7 1]\n0 :invoke :write [8 2]\n"
            "0 :ok :write [8 2]\n0 :invoke :cas [7 [1 2]]\n0 :ok :cas [7 [1 2]]"
        )
    )
    assert [(call.f, call.key, call.value) for call in calls] == [
        ("read", 7, 1),
        ("write", 8, 2),
        ("cas", 7, (1, 2)),
    ]


def test_a_lock_knows_acquire_and_release_alone() -> None:
    calls = lock_calls(attempts("0 :invoke :acquire\n0 :ok :acquire\n1 :invoke :release"))
    assert [(call.f, call.is_open) for call in calls] == [("acquire", False), ("release", True)]
    with pytest.raises(HistoryValueError, match="an operation 'read'"):
        lock_calls(attempts("0 :invoke :read"))


def test_texts_have_a_key_of_their_own() -> None:
    events = events_of_text(
        '{:process 0, :type :invoke, :f :append, :key "3", :value "x"}'
        '{:process 0, :type :ok, :f :append, :key "3", :value "x"}'
        '{:process 1, :type :invoke, :f :get, :key "3", :value nil}'
        '{:process 1, :type :ok, :f :get, :key "3", :value "x"}'
        '{:process 1, :type :invoke, :f :get, :key "4", :value nil}'
    )
    assert [(call.f, call.key, call.value) for call in text_calls(attempts_of(events))] == [
        ("append", "3", "x"),
        ("read", "3", "x"),
    ]


def test_open_transactions_say_nothing_of_what_they_read() -> None:
    calls = transaction_calls(
        attempts(
            "0 :invoke :txn [[:read :x nil] [:write :y 1]]\n1 :invoke :txn [[:read :x nil]]\n"
            "2 :invoke :txn [[:read :x nil]]\n2 :ok :txn [[:read :x 5]]"
        )
    )
    assert [call.value for call in calls] == [
        (("read", "x", None), ("write", "y", 1)),
        (("read", "x", 5),),
    ]


@pytest.mark.parametrize(
    "line", ["0 :invoke :cas 5", "0 :invoke :explode 5", "0 :invoke :cas [1 2 3]"]
)
def test_what_a_register_does_not_know_is_refused(line: str) -> None:
    with pytest.raises(HistoryValueError):
        register_calls(attempts(line))


@pytest.mark.parametrize("value", ["5", "[[:append :x 1]]", "[[:read :x]]"])
def test_what_is_no_transaction_is_refused(value: str) -> None:
    with pytest.raises(HistoryValueError):
        transaction_calls(attempts(f"0 :invoke :txn {value}"))


def test_without_reads_the_compare_and_sets_tell_whether_there_are_keys() -> None:
    keyed = "0 :invoke :write [3 1]\n0 :ok :write [3 1]\n0 :invoke :cas [3 [1 2]]"
    assert [(call.key, call.value) for call in register_calls(attempts(keyed))] == [
        (3, 1),
        (3, (1, 2)),
    ]
    bare = "0 :invoke :write [3 1]\n0 :ok :write [3 1]\n0 :invoke :cas [[3 1] [1 2]]"
    assert [call.key for call in register_calls(attempts(bare))] == [None, None]


def test_reads_with_a_key_and_without_one_are_refused() -> None:
    with pytest.raises(HistoryValueError, match=r"a read of None, among others of \[key nil\]"):
        register_calls(
            attempts("0 :invoke :read [7 nil]\n0 :ok :read [7 1]\n1 :invoke :read\n1 :ok :read 1")
        )
