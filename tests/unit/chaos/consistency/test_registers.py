"""Registers, locks and texts judged: by key, with an order or the calls that have none."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.consistency.calls import drawn, histories, orders

from chaos.consistency.calls import Call
from chaos.consistency.objects import MultiRegister, Mutex, Register, Text
from chaos.consistency.registers import judge
from chaos.findings import Verdict


def test_valid_carries_the_order() -> None:
    answer = judge(drawn("[w1-----] [r1-]", "[w2-]"), Register, model="register")
    assert answer.verdict is Verdict.VALID
    assert answer.proof is not None
    assert answer.proof.checked == 1
    assert [step.split(" (")[0] for step in answer.proof.order] == [
        "The write of 2 by process 1",
        "The write of 1 by process 0",
        "The read of 1 by process 0",
    ]


def test_invalid_names_the_call_and_what_the_register_may_have_been() -> None:
    lanes = ("[w1-] [w1-] [r3-]", "            [w2----]", "[w3-")
    calls = [call for call in drawn(*lanes) if call.value != 3 or call.f == "read"]
    answer = judge(calls, Register, model="register")
    assert answer.verdict is Verdict.INVALID
    [anomaly] = answer.anomalies
    place, states, beside, confirmed = anomaly.sentences
    assert place.startswith("The read of 3 by process 0")
    assert "is 1 or 2 until its end" in states
    assert "the write of 2" in beside
    assert confirmed == "Confirmed by a sweep through all situations up to its end."
    assert [proof["role"] for proof in anomaly.evidence] == ["no place", "beside it"]


def test_each_key_is_judged_alone() -> None:
    good = [replace(call, key="a") for call in drawn("[w1-] [r1-]")]
    bad = [
        replace(call, key="b", began=call.began + 100, ended=call.began + 101)
        for call in drawn("[w1-] [r2-]")
    ]
    assert judge(good, Register, model="register").verdict is Verdict.VALID
    answer = judge([*good, *bad], Register, model="register")
    assert answer.verdict is Verdict.INVALID
    assert answer.reason.startswith("Key 'b': ")
    assert answer.counts["keys"] == 2


def test_a_search_at_its_limit_is_unknown_with_the_reason() -> None:
    writes = [Call(f="write", value=n % 7, began=n, ended=100 + n) for n in range(30)]
    reads = [Call(f="read", value=9, began=200, ended=201)]
    answer = judge([*writes, *reads], Register, model="register", situations_max=500)
    assert answer.verdict is Verdict.UNKNOWN
    assert "gave up after 501 situations" in answer.reason


def test_nothing_at_all_is_valid() -> None:
    assert judge([], Register, model="register").verdict is Verdict.VALID


def test_a_lock_that_two_hold_is_rejected() -> None:
    answer = judge(drawn("[+]    ", "     [+]"), Mutex, model="mutex")
    assert answer.verdict is Verdict.INVALID
    assert "the object is held until its end" in answer.anomalies[0].sentences[1]
    assert judge(drawn("[+] [-]", "        [+]"), Mutex, model="mutex").verdict is Verdict.VALID


def _text(f: str, value: str, began: int, ended: int | None) -> Call:
    return Call(f=f, value=value, began=began, ended=ended)


def test_texts_keep_what_was_appended() -> None:
    calls = [_text("append", "a", 0, 5), _text("append", "b", 1, 4), _text("read", "ba", 6, 7)]
    assert judge(calls, Text, model="kv").verdict is Verdict.VALID
    lost = [*calls, _text("read", "a", 8, 9)]
    assert judge(lost, Text, model="kv").verdict is Verdict.INVALID
    replaced = [*calls, _text("write", "a", 8, None), _text("read", "a", 9, 10)]
    assert judge(replaced, Text, model="kv").verdict is Verdict.VALID


texts = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "write", "read"]),
        st.sampled_from(["", "a", "b", "ab", "ba", "aba"]),
        st.integers(0, 6),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_looking_ahead_in_texts_loses_no_order(
    drawn_calls: list[tuple[str, str, int, int, bool]],
) -> None:
    calls = [
        _text(f, value, began * 10 + n, None if is_open else (began + width) * 10 + n)
        for n, (f, value, began, width, is_open) in enumerate(drawn_calls)
    ]
    answer = judge(calls, Text, model="kv")
    assert (answer.verdict is Verdict.VALID) == orders(calls, Text())


def test_one_transaction_sees_several_registers_at_one_moment() -> None:
    def txn(*parts: tuple[str, str, int | None], began: int, ended: int) -> Call:
        return Call(f="txn", value=parts, began=began, ended=ended)

    both = txn(("write", "x", 1), ("write", "y", 1), began=0, ended=9)
    whole = txn(("read", "x", 1), ("read", "y", 1), began=1, ended=2)
    torn = txn(("read", "x", 1), ("read", "y", 0), began=3, ended=4)
    nothing = txn(("read", "x", None), ("read", "y", None), began=5, ended=6)

    def verdict(*calls: Call) -> Verdict:
        return judge(calls, lambda: MultiRegister("xy", 0), model="multi-register").verdict

    assert verdict(both, whole, nothing) is Verdict.VALID
    assert verdict(both, torn) is Verdict.INVALID


@settings(max_examples=100, deadline=None)
@given(histories(calls_max=5, values_max=2, with_cas=True))
def test_every_verdict_is_that_of_all_orders(calls: list[Call]) -> None:
    answer = judge(calls, Register, model="register")
    assert (answer.verdict is Verdict.VALID) == orders(calls, Register())
    assert (answer.proof is not None) == (answer.verdict is Verdict.VALID)
    assert bool(answer.anomalies) == (answer.verdict is Verdict.INVALID)
