"""Mistakes of a program that several tests make: functions of units of work."""

from __future__ import annotations

import anyio
from psycopg import sql

from replication import Transaction

TOO_MANY = 70_000
"""Parameters; the protocol counts them in 16 bits."""


async def too_many_parameters(tx: Transaction) -> None:
    slots = sql.SQL(",").join([sql.Placeholder()] * TOO_MANY)
    await tx.execute(sql.SQL("SELECT {}").format(slots), list(range(TOO_MANY)))


async def its_own_close(tx: Transaction) -> None:
    async with tx.connection() as conn:
        await conn.close()


async def a_timeout_that_it_swallowed(tx: Transaction) -> None:
    with anyio.move_on_after(0.05):
        await tx.execute("SELECT pg_sleep(600)")
