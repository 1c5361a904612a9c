"""Banks: accounts, balances, the total, and debts where the level forbids them."""

from __future__ import annotations

import pytest
from support.consistency.attempts import attempts

from chaos.consistency import bank
from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.errors import HistoryValueError
from chaos.findings import Verdict

FIRST = "0 :invoke :read\n0 :ok :read {0 10, 1 10}\n"


def _judge(second: str, *, level: str = bank.NO_DEBTS) -> HistoryAnswer:
    return bank.judge(attempts(f"{FIRST}0 :invoke :read\n0 :ok :read {second}"), level=level)


@pytest.mark.parametrize("balances", ["{0 10, 1 10}", "{0 20, 1 0}", "{0 20}"])
def test_the_same_total_is_accepted(balances: str) -> None:
    answer = _judge(balances)
    assert answer.verdict is Verdict.VALID
    assert answer.proof is not None
    assert answer.proof.checked == 2


@pytest.mark.parametrize(
    ("balances", "name", "words"),
    [
        ("{0 10, 1 11}", "wrong-total", "adds up to 21; the first one was 20"),
        ("{0 10, 1 nil}", "no-balance", "no balance for account 1"),
        ("{0 10, 7 10}", "unexpected-account", "has account 7"),
        ("{0 21, 1 -1}", "negative-balance", "has -1 on account 1"),
        ("{}", "wrong-total", "adds up to 0"),
    ],
)
def test_it_rejects(balances: str, name: str, words: str) -> None:
    [anomaly] = _judge(balances).anomalies
    assert anomaly.name == name
    assert words in anomaly.sentences[0]


def test_debts_can_be_allowed() -> None:
    assert _judge("{0 21, 1 -1}", level=bank.TOTALS).verdict is Verdict.VALID


def test_reads_that_failed_and_transfers_are_not_asked() -> None:
    more = "1 :invoke :transfer {:from 0, :to 1, :amount 9}\n2 :invoke :read\n2 :fail :read {0 1}"
    answer = bank.judge(attempts(FIRST + more), level=bank.NO_DEBTS)
    assert answer.verdict is Verdict.VALID
    assert answer.counts == {"operations": 3, "reads": 1}


def test_a_bank_that_was_never_read_says_so() -> None:
    answer = bank.judge([], level=bank.NO_DEBTS)
    assert answer.notes == ("Nothing was read: no total could be wrong.",)


@pytest.mark.parametrize(
    "balances", ["[1 2]", "nil", "{0 :rich}", "{0 ##NaN}", "{0 1E+999999999M}"]
)
def test_what_is_no_map_of_balances_is_refused(balances: str) -> None:
    with pytest.raises(HistoryValueError):
        _judge(balances)


@pytest.mark.parametrize("first", ["{0 0.3, 1 0.0}", "{0 0.3M, 1 0M}", "{0 3E-1, 1 0}"])
@pytest.mark.parametrize("second", ["{0 0.2, 1 0.1}", "{0 0.2M, 1 0.1M}", "{0 0.1, 1 0.2M}"])
def test_decimal_balances_add_up_as_people_count(first: str, second: str) -> None:
    text = "".join(f"0 :invoke :read\n0 :ok :read {read}\n" for read in (first, second))
    answer = bank.judge(attempts(text), level=bank.NO_DEBTS)
    assert answer.verdict is Verdict.VALID, answer.reason
    assert answer.reason.endswith("the total 0.3.")


def test_a_decimal_that_is_missing_is_found() -> None:
    text = "0 :invoke :read\n0 :ok :read {0 0.3M}\n0 :invoke :read\n0 :ok :read {0 0.29}"
    [anomaly] = bank.judge(attempts(text), level=bank.NO_DEBTS).anomalies
    assert "adds up to 0.29; the first one was 0.3" in anomaly.sentences[0]
