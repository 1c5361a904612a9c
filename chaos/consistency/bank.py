"""A bank: whether every read of all balances shows the total that there was at first.

Transfers move money and make none, so a read that sees a consistent snapshot sees the same total,
the same accounts, and a balance in each; and, unless the bank allows it, no balance below zero.
Accounts and total are those of the first read, as in elle-cli; its order of questions decides which
one of several wrongs is named.

Source: Jepsen's ``tests/bank.clj``; elle-cli's ``bank.clj``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from chaos.consistency.answer import Anomaly, HistoryAnswer, Proof
from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.calls import capital, shown
from chaos.consistency.errors import HistoryValueError
from chaos.findings import Verdict
from chaos.wording import counted

READ = "read"

TOTALS = "totals"
"""Balances may be below zero: only the total is kept."""
NO_DEBTS = "totals-without-debts"
"""No balance is ever below zero either."""


def judge(attempts: Sequence[ClientAttempt], *, level: str) -> HistoryAnswer:
    """Whether each read shows the accounts and the total of the first one.

    Raises:
        HistoryValueError: a read is no map of balances, or a balance is no number.
    """
    reads = [one for one in attempts if one.f == READ and one.is_ok]
    reads.sort(key=lambda one: one.ended or 0)
    counts = {"operations": len(attempts), "reads": len(reads)}
    if not reads:
        return _valid(level, counts, total=0, notes=("Nothing was read: no total could be wrong.",))
    opening = _balances(reads[0])
    total = sum(balance or 0 for balance in opening.values())
    wrong: list[tuple[str, str, ClientAttempt]] = []
    for read in reads:
        found = _wrong(_balances(read), opening, total, may_be_negative=level == TOTALS)
        if found is not None:
            wrong.append((*found, read))
    if not wrong:
        return _valid(level, counts, total=total)
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
    return HistoryAnswer(
        model="bank",
        level=level,
        verdict=Verdict.INVALID,
        reason=anomalies[0].sentences[0],
        anomalies=anomalies,
        counts=counts,
    )


def _wrong(
    balances: Mapping[object, float | None],
    opening: Mapping[object, float | None],
    total: float,
    *,
    may_be_negative: bool,
) -> tuple[str, str] | None:
    """The name and the words of the first thing that is wrong with a read."""
    if unexpected := [account for account in balances if account not in opening]:
        return "unexpected-account", f"has account {shown(unexpected[0])}, which the first had not"
    if empty := [account for account, balance in balances.items() if balance is None]:
        return "no-balance", f"has no balance for account {shown(empty[0])}"
    there = sum(balance or 0 for balance in balances.values())
    if there != total:
        return "wrong-total", f"adds up to {there:,}; the first one was {total:,}"
    below = {account: balance for account, balance in balances.items() if (balance or 0) < 0}
    if below and not may_be_negative:
        account, balance = next(iter(below.items()))
        return "negative-balance", f"has {balance:,} on account {shown(account)}"
    return None


def _balances(read: ClientAttempt) -> Mapping[object, float | None]:
    if not isinstance(read.answered, dict):
        raise HistoryValueError(
            f"a read of {shown(read.answered)}, which is no map of balances",
            line=read.end_line,
            remedy="{account balance, …}",
        )
    for account, balance in read.answered.items():
        if balance is not None and not (
            isinstance(balance, int | float) and not isinstance(balance, bool)
        ):
            raise HistoryValueError(
                f"a balance of {shown(balance)} on account {shown(account)}, which is no number",
                line=read.end_line,
            )
    return read.answered


def _valid(
    level: str, counts: Mapping[str, int], *, total: float, notes: tuple[str, ...] = ()
) -> HistoryAnswer:
    reads = counts["reads"]
    return HistoryAnswer(
        model="bank",
        level=level,
        verdict=Verdict.VALID,
        reason=f"{capital(counted(reads, 'read'))} with the same accounts and the total {total:,}.",
        proof=Proof(method="The balances of every read were added up.", checked=reads),
        counts=counts,
        notes=notes,
    )
