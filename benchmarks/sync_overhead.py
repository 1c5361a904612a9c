"""The synchronous face beside the asynchronous one: ``python benchmarks/sync_overhead.py``.

One PostgreSQL of its own on this machine, without fsync and without a standby, so that what the
client does weighs as much as it ever can. One worker, small writes, in turns:

- ``Storage.run``, ``SyncStorage.run``: one INSERT beside the id row;
- ``Orm.run``: the same through an ORM session;
- ``SyncStorage.connection``: the INSERT alone on a psycopg connection, no id row;
- ``engine``: the INSERT alone through an ORM session on a SQLAlchemy engine, no id row.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# The server and the answers of Patroni's REST API are those of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.postgres.local_postgres import local_postgres
from support.postgres.synchronous import CREDENTIALS, create_tables, rest_apis

from replication import Storage, StorageSettings, SyncStorage
from replication.sqlalchemy.engines import create_engine
from replication.sqlalchemy.orm import Orm

OPERATIONS, ROUNDS = 200, 5

Measure = Callable[[], list[float]]
"""Seconds of each of ``OPERATIONS`` operations."""


class Base(DeclarativeBase):
    """For ``Entry``."""


class Entry(Base):
    """What is written."""

    __tablename__ = "entry"

    id: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int]


def ways(storage: SyncStorage) -> dict[str, Measure]:
    """Everything that is measured."""
    numbers = count()
    orm, engine = Orm(storage), create_engine(storage)
    insert = "INSERT INTO entry VALUES (%s, 1)"

    def timed(once: Callable[[], object]) -> Measure:
        def measure() -> list[float]:
            taken_s = []
            for _ in range(OPERATIONS):
                begun_s = time.perf_counter()
                once()
                taken_s.append(time.perf_counter() - begun_s)
            return taken_s

        return measure

    def on_connection() -> None:
        with storage.connection() as connection:
            connection.execute(insert, (str(next(numbers)),))

    def on_engine() -> None:
        with Session(engine) as session:
            session.add(Entry(id=str(next(numbers)), n=1))
            session.commit()

    async def asynchronous(storage: Storage) -> list[float]:
        taken_s = []
        for _ in range(OPERATIONS):
            begun_s = time.perf_counter()
            await storage.run(lambda tx: tx.execute(insert, (str(next(numbers)),)))
            taken_s.append(time.perf_counter() - begun_s)
        return taken_s

    return {
        "Storage.run": lambda: storage.call(asynchronous),
        "SyncStorage.run": timed(
            lambda: storage.run(lambda tx: tx.execute(insert, (str(next(numbers)),)))
        ),
        "Orm.run": timed(
            lambda: orm.run(lambda session: session.add(Entry(id=str(next(numbers)), n=1)))
        ),
        "SyncStorage.connection": timed(on_connection),
        "engine": timed(on_engine),
    }


def main() -> None:
    """Print one line for each way."""
    settings = StorageSettings(durability="local")
    with (
        tempfile.TemporaryDirectory() as folder,
        local_postgres(Path(folder)) as server,
        rest_apis(True) as (answers,),
        SyncStorage([answers.member(server)], CREDENTIALS, settings=settings) as storage,
    ):
        create_tables(server)
        measured = ways(storage)
        taken_s: dict[str, list[float]] = {name: [] for name in measured}
        for measure in measured.values():
            measure()  # warm
        for _ in range(ROUNDS):
            for name, measure in measured.items():
                taken_s[name].append(statistics.median(measure()))
    for name, medians_s in taken_s.items():
        low, middle, high = min(medians_s), statistics.median(medians_s), max(medians_s)
        print(f"{name:24} p50 {middle * 1000:.2f} ms ({low * 1000:.2f} to {high * 1000:.2f})")


if __name__ == "__main__":
    main()
