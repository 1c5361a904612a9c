"""Appointments of a hospital ward. A slot is given once, whatever becomes of the data centre."""

from __future__ import annotations

from replication import Storage, Transaction

TABLE = """
CREATE TABLE IF NOT EXISTS appointment (
    slot integer PRIMARY KEY,
    patient text NOT NULL
)
"""


async def create_table(storage: Storage) -> None:
    """Make the table; what is there is kept."""

    async def create(transaction: Transaction) -> None:
        await transaction.execute(TABLE)

    await storage.run(create)


async def book(storage: Storage, slot: int, patient: str) -> bool:
    """Give a slot to a patient; False when it is taken."""

    async def insert(transaction: Transaction) -> bool:
        done = await transaction.execute(
            "INSERT INTO appointment VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING slot",
            (slot, patient),
        )
        return bool(done.rows)

    return (await storage.run(insert)).value


async def booked(storage: Storage) -> dict[int, str]:
    """Every slot that is taken, and by whom."""

    async def select(transaction: Transaction) -> dict[int, str]:
        found = await transaction.execute("SELECT slot, patient FROM appointment")
        return dict(found.rows)

    return (await storage.run(select)).value
