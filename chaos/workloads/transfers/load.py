"""Moves amounts between accounts, and reads the sum of all balances.

A transfer reads both accounts, writes both, and adds an entry with its id: a transaction of which
half is seen, kept or lost shows in the total, and an update that was lost shows in the difference
between a balance and the entries. To that end the balances are computed *here* from what was read,
and written as plain numbers; ``SET balance = balance + 1`` would be right whatever was read before.

**Isolation.** READ COMMITTED with explicit row locks: ``SELECT ... FOR UPDATE``, in the order of
the account numbers. A transfer that has its locks reads the latest committed balances (PostgreSQL
manual, 13.2.1: the statement waits for the holder of a row, and then takes the row as that one left
it), and no other transfer changes them before it ends; so transfers on the same accounts happen one
after the other. Because all take their locks in the same order, none waits for another in a circle:
no deadlock, and no serialization failure either. Both would be retried by the storage layer
(SQLSTATE 40P01, 40001), and with SERIALIZABLE the retries would be most of the load, on so few
accounts. The sort of an ``ORDER BY`` with ``FOR UPDATE`` comes before the locks: they are taken in
its order (manual, SELECT, The Locking Clause; what it warns of, rows that change their place,
cannot be, because the number of an account never changes).

**Reads of the total** are one statement, which is one snapshot, on the primary. A total is a unit
of work too, so its id row is committed under the same synchronous rule: a primary that was deposed
cannot acknowledge it. It leaves no entry.

Overdrafts are allowed: refusing one would add an outcome, but nothing to judge by.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, LiteralString

from chaos.workloads.base import SiteLoad, Work, WorkResult
from chaos.workloads.pacing import run_paced
from chaos.workloads.transfers import TransfersOptions
from replication import Transaction

TOTALS_SHARE = 0.1
"""This share of all operations reads the total: at the default rate five a second and site, so that
every second of a failover is looked at and most of the load still changes something."""

AMOUNT_MAX = 100

OPEN_ACCOUNTS: LiteralString = (
    "INSERT INTO bascule.account (id, balance)"
    " SELECT n, %s FROM generate_series(0, %s - 1) AS n ON CONFLICT (id) DO NOTHING"
)
LOCK_BOTH: LiteralString = (
    "SELECT id, balance FROM bascule.account WHERE id IN (%s, %s) ORDER BY id FOR UPDATE"
)
SET_BALANCE: LiteralString = "UPDATE bascule.account SET balance = %s WHERE id = %s"
ADD_ENTRY: LiteralString = (
    "INSERT INTO bascule.transfer (id, source, target, amount) VALUES (%s, %s, %s, %s)"
)
READ_TOTAL: LiteralString = "SELECT sum(balance)::bigint, count(*) FROM bascule.account"


class Transfers:
    """See the module."""

    tables: tuple[LiteralString, ...] = (
        """
        CREATE TABLE IF NOT EXISTS bascule.account (
            id integer PRIMARY KEY,
            balance bigint NOT NULL
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS bascule.transfer (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id text NOT NULL,
            source integer NOT NULL,
            target integer NOT NULL,
            amount bigint NOT NULL
        )
        """,
    )
    grants: tuple[LiteralString, ...] = (
        "GRANT SELECT, UPDATE ON bascule.account TO {role}",
        "GRANT SELECT, INSERT ON bascule.transfer TO {role}",
    )
    final_read: LiteralString = """
        SELECT kind, id, content FROM (
            SELECT 'row' AS kind, id, 0 AS part, seq AS place,
                json_build_object('source', source, 'target', target, 'amount', amount)::text
                AS content
            FROM bascule.transfer
            UNION ALL
            SELECT 'state', id::text, 1, id, balance::text FROM bascule.account
        ) AS everything
        ORDER BY part, place
    """

    def __init__(self, options: TransfersOptions) -> None:
        self._options = options

    def opening(self) -> Iterable[tuple[LiteralString, tuple[Any, ...]]]:
        """Every account with its opening balance."""
        return ((OPEN_ACCOUNTS, (self._options.opening_balance, self._options.accounts)),)

    async def run(self, load: SiteLoad) -> None:
        """Move amounts and read totals; the same seed gives the same operations."""
        config = load.config
        draws = [
            random.Random(f"{config.seed}/{config.site}/{worker}/transfers")
            for worker in range(config.workers)
        ]

        def next_work(worker: int, n: int) -> Work:
            return draw_work(draws[worker], f"{config.site}-{worker}-{n}", self._options.accounts)

        await run_paced(load, next_work)


def draw_work(draw: random.Random, id_: str, accounts: int) -> Work:
    """The next operation of a worker: a transfer between two of ``accounts``, or a total."""
    if draw.random() < TOTALS_SHARE:
        return Work(id=id_, apply=read_total, leaves_entry=False, about={"op": "total"})
    source, target = draw.sample(range(accounts), 2)
    amount = draw.randint(1, AMOUNT_MAX)

    async def transfer(transaction: Transaction) -> WorkResult:
        rows = (await transaction.execute(LOCK_BOTH, (source, target))).rows
        balances = {int(account): int(balance) for account, balance in rows}
        await transaction.execute(SET_BALANCE, (balances[source] - amount, source))
        await transaction.execute(SET_BALANCE, (balances[target] + amount, target))
        await transaction.execute(ADD_ENTRY, (id_, source, target, amount))
        return {}

    about: WorkResult = {"op": "transfer", "source": source, "target": target, "amount": amount}
    return Work(id=id_, apply=transfer, about=about)


async def read_total(transaction: Transaction) -> WorkResult:
    """The sum of all balances, and of how many accounts."""
    [(total, accounts)] = (await transaction.execute(READ_TOTAL)).rows
    return {"total": int(total), "accounts": int(accounts)}
