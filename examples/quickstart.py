"""The quick start of docs/use/storage.md: a write that survives a failover, a read that sees it.

Needs ``bascule.toml`` in the current folder (docs/reference/settings.md) and the tables of
``schema.sql``.
"""

import asyncio

from replication import Transaction, load_config, open_storage


async def admit(tx: Transaction) -> None:
    await tx.execute("INSERT INTO visit (patient, reason) VALUES (%s, %s)", ("Marie", "fever"))


async def main() -> None:
    async with open_storage(load_config("bascule.toml")) as storage:
        done = await storage.run(admit)
        seen = await storage.read(lambda tx: tx.execute("SELECT * FROM visit"), after=done.token)
        print(f"applied on {done.node} at {done.lsn}; rows on {seen.node}: {seen.value.rowcount}")


asyncio.run(main())
