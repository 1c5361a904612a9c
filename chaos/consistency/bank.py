"""A bank: whether every read of all balances shows the total that there was at first.

Transfers move money and make none, so a read that sees a consistent snapshot sees the same total,
the same accounts, and a balance in each; and, unless the bank allows it, no balance below zero.
Accounts and total are those of the first read, as in elle-cli; its order of questions decides which
one of several wrongs is named.

Source: Jepsen's ``tests/bank.clj``; elle-cli's ``bank.clj``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import isfinite

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.attempts import ClientAttempt, refuse_others
from chaos.consistency.calls import capital, shown
from chaos.consistency.errors import HistoryValueError
from chaos.wording import counted

READ = "read"
TRANSFER = "transfer"

Amount = int | float | Decimal
"""A balance as the history has it."""
DIGITS_MAX = 400
"""No balance has more digits before or after the point: a float has no more than 324."""

TOTALS = "totals"
"""Balances may be below zero: only the total is kept."""
NO_DEBTS = "totals-without-debts"
"""No balance is ever below zero either."""


def judge(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """Whether each read shows the accounts and the total of the first one.

    Raises:
        HistoryValueError: a read is no map of balances, a balance is no number, or an operation is
            none of a bank.
    """
    refuse_others(attempts, (READ, TRANSFER))
    reads = [one for one in attempts if one.f == READ and one.is_ok]
    reads.sort(key=lambda one: one.ended or 0)
    counts = {"operations": len(attempts), "reads": len(reads)}
    if not reads:
        notes = ("Nothing was read: no total could be wrong.",)
        return _answer(level, counts, (), total=Fraction(), notes=notes)
    opening = _balances(reads[0])
    total = _sum(opening.values())
    wrong: list[tuple[str, str, ClientAttempt]] = []
    for read in reads:
        found = _wrong(_balances(read), opening, total, may_be_negative=level == TOTALS)
        if found is not None:
            wrong.append((*found, read))
    kinds = Counter(name for name, _, _ in wrong)
    firsts = {name: (words, read) for name, words, read in reversed(wrong)}
    anomalies = tuple(
        Anomaly(
            name=name,
            sentences=(f"{capital(str(read))} {words}.",),
            evidence=tuple(one.evidence(wrong=why) for other, why, one in wrong if other == name),
            count=kinds[name],
        )
        for name, (words, read) in sorted(firsts.items(), key=lambda item: item[1][1].ended or 0)
    )
    return _answer(level, counts, anomalies, total=total)


def _wrong(
    balances: Mapping[object, Amount | None],
    opening: Mapping[object, Amount | None],
    total: Fraction,
    *,
    may_be_negative: bool,
) -> tuple[str, str] | None:
    """The name and the words of the first thing that is wrong with a read."""
    if unexpected := [account for account in balances if account not in opening]:
        return "unexpected-account", f"has account {shown(unexpected[0])}, which the first had not"
    if empty := [account for account, balance in balances.items() if balance is None]:
        return "no-balance", f"has no balance for account {shown(empty[0])}"
    there = _sum(balances.values())
    if there != total:
        return "wrong-total", f"adds up to {_said(there)}; the first one was {_said(total)}"
    below = {account: balance for account, balance in balances.items() if (balance or 0) < 0}
    if below and not may_be_negative:
        account, balance = next(iter(below.items()))
        return "negative-balance", f"has {balance:,} on account {shown(account)}"
    return None


def _sum(balances: Iterable[Amount | None]) -> Fraction:
    """The total as people count: 0.1 and 0.2 are 0.3, which floats deny."""
    return sum(
        (Fraction(str(one) if isinstance(one, float) else one) for one in balances if one),
        start=Fraction(),
    )


def _said(total: Fraction) -> str:
    if total.denominator == 1:
        return f"{total.numerator:,}"
    return f"{Decimal(total.numerator) / Decimal(total.denominator):,}"


def _is_amount(balance: object) -> bool:
    if isinstance(balance, Decimal):
        return balance.is_finite() and -DIGITS_MAX < balance.adjusted() < DIGITS_MAX
    if isinstance(balance, float):
        return isfinite(balance)
    return isinstance(balance, int) and not isinstance(balance, bool)


def _balances(read: ClientAttempt) -> Mapping[object, Amount | None]:
    if not isinstance(read.answered, dict):
        raise HistoryValueError(
            f"a read of {shown(read.answered)}, which is no map of balances",
            line=read.end_line,
            remedy="{account balance, …}",
        )
    for account, balance in read.answered.items():
        if balance is not None and not _is_amount(balance):
            raise HistoryValueError(
                f"a balance of {shown(balance)} on account {shown(account)}, which is no number",
                line=read.end_line,
            )
    return read.answered


def _answer(
    level: str,
    counts: Mapping[str, int],
    anomalies: Sequence[Anomaly],
    *,
    total: Fraction,
    notes: tuple[str, ...] = (),
) -> HistoryAnswer:
    reads = counted(counts["reads"], "read")
    return HistoryAnswer.compared(
        model="bank",
        level=level,
        anomalies=anomalies,
        holds=f"{capital(reads)} with the same accounts and the total {_said(total)}.",
        proof=Proof(method="The balances of every read were added up.", checked=counts["reads"]),
        counts=counts,
        notes=notes,
    )
