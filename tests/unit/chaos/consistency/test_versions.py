"""Rows that count their versions: sorted, held against the clock."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.consistency.calls import Call
from chaos.consistency.linearization import objection
from chaos.consistency.objects import Register
from chaos.consistency.registers import judge
from chaos.consistency.versions import are_given, order_or_clash
from chaos.consistency.zones import Clash
from chaos.findings import Verdict


def _write(version: int | None, value: int, began: int, ended: int | None) -> Call:
    return Call(f="write", value=value, version=version, began=began, ended=ended)


def _read(version: int, value: int | None, began: int, ended: int) -> Call:
    return Call(f="read", value=value, version=version, began=began, ended=ended)


def test_versions_that_grow_with_the_clock_are_accepted() -> None:
    calls = [_read(0, None, 0, 3), _write(1, 7, 1, 4), _read(1, 7, 2, 5), _write(2, 7, 6, 7)]
    order = order_or_clash(calls)
    assert not isinstance(order, Clash)
    assert objection(order, calls, Register()) is None
    assert judge(calls, Register, model="register").verdict is Verdict.VALID


def test_a_read_of_a_version_that_was_gone_is_rejected() -> None:
    calls = [_write(1, 7, 0, 1), _write(2, 8, 2, 3), _read(1, 7, 4, 5)]
    answer = judge(calls, Register, model="register")
    assert answer.verdict is Verdict.INVALID
    assert "version" in answer.reason


def test_one_version_given_to_two_writes_is_rejected() -> None:
    clash = order_or_clash([_write(1, 7, 0, 1), _write(1, 8, 2, 3)])
    assert isinstance(clash, Clash)
    assert "given to two writes" in clash.sentence


def test_a_version_that_nobody_wrote_is_rejected() -> None:
    clash = order_or_clash([_write(1, 7, 0, 1), _read(2, 8, 2, 3)])
    assert isinstance(clash, Clash)
    assert "Nobody wrote version 2" in clash.sentence


def test_a_write_in_doubt_takes_the_version_that_was_read_with_its_value() -> None:
    calls = [_write(1, 7, 0, 1), _write(None, 8, 2, None), _read(2, 8, 4, 5)]
    order = order_or_clash(calls)
    assert not isinstance(order, Clash)
    assert [call.value for call in order] == [7, 8, 8]


def test_the_value_of_a_version_counts_too() -> None:
    calls = [_write(1, 7, 0, 1), _read(1, 9, 2, 3)]
    answer = judge(calls, Register, model="register")
    assert answer.verdict is Verdict.INVALID
    assert "9" in answer.reason


def test_without_versions_it_is_not_asked() -> None:
    assert not are_given([])
    assert not are_given([Call(f="write", value=1, began=0, ended=1)])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=8))
def test_real_runs_are_accepted(spans: list[tuple[int, int]]) -> None:
    """Each call takes effect at the middle of its span: then the versions are those of a row."""
    calls = []
    version = value = 0
    by_middle = sorted((2 * begin + width, n) for n, (begin, width) in enumerate(spans))
    for _, n in by_middle:
        begin, width = spans[n]
        is_write = (begin + n) % 2 == 0
        if is_write:
            version, value = version + 1, n
        calls.append(
            Call(
                f="write" if is_write else "read",
                value=value if version else None,
                version=version,
                began=(begin * 20 + n) * 2,
                ended=((begin + width) * 20 + n) * 2 + 1,
            )
        )
    answer = judge(calls, Register, model="register")
    assert answer.verdict is Verdict.VALID, answer.reason
