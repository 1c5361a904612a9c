"""The reader of EDN."""

from __future__ import annotations

from decimal import Decimal

import pytest

from chaos.consistency.edn import EdnValue, read_edn
from chaos.consistency.errors import HistoryValueError


def read(text: str) -> list[EdnValue]:
    return [form.value for form in read_edn(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        (":a/b", "a/b"),
        ("sym?", "sym?"),
        ("-12", -12),
        ("12N", 12),
        ("1.5", 1.5),
        ("2.5M", Decimal("2.5")),
        ("0.1M", Decimal("0.1")),
        ("1e3", 1000.0),
        ("##Inf", float("inf")),
        (r'"a \"b\" \n \u00e9"', 'a "b" \n é'),
        (r"\a", "a"),
        (r"\newline", "\n"),
        ("[1, 2,,3]", [1, 2, 3]),
        ("(1 [2 (3)])", [1, [2, [3]]]),
        ("#{1}", [1]),
        ("{:a 1, [1 2] :b}", {"a": 1, (1, 2): "b"}),
        ("#jepsen.history.Op{:index 0, :value nil}", {"index": 0, "value": None}),
        ('#inst "2026-01-01"', "2026-01-01"),
        ("[1 #_ 2 #_[3 #_4] 5]", [1, 5]),
        ("[#_ #_ 1 2 3]", [3]),
        ("[1 ; two\n 3]", [1, 3]),
        ("[[:r 1 nil][:append 2 3]]", [["r", 1, None], ["append", 2, 3]]),
        ("- + a-b", ["-", "+", "a-b"]),
    ],
)
def test_what_is_read(text: str, value: EdnValue) -> None:
    found = read(text)
    assert (found if text == "- + a-b" else found[0]) == value


def test_several_forms_with_their_lines() -> None:
    found = list(read_edn("\n{:a 1}\n\n{:b\n 2}\n:c"))
    assert [form.line for form in found] == [2, 4, 6]
    assert [form.value for form in found] == [{"a": 1}, {"b": 2}, "c"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("{:a 1}\n[1 2", 2, "never closed"),
        ("1\n]", 2, "closes nothing"),
        ("[1\n2)", 2, "closes nothing"),
        ("\n\n{:a}", 3, "without a value"),
        ('"open', 1, "no EDN"),
        ("1x", 1, "no number"),
    ],
)
def test_what_is_no_edn(text: str, line: int, reason: str) -> None:
    with pytest.raises(HistoryValueError, match=reason) as caught:
        read(text)
    assert caught.value.line == line
