"""What the storage layer costs beside raw psycopg: ``python benchmarks/overhead.py [--json]``.

One PostgreSQL of its own on this machine, without network delay and without fsync, so that what
the client does weighs as much as it ever can. Three ways to write the same ledger entry take turns
in short rounds, so that a busy moment of the machine hits all of them:

- ``storage``: ``Storage.run`` with its id row, deadline and evidence;
- ``raw-pair``: the same two inserts with plain psycopg (``async with connection.transaction()``);
- ``raw-entry``: plain psycopg, the entry alone, no protection against a doubled or a lost one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import figures
import psycopg

# The server and the answers of Patroni's REST API are those of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.local_postgres import (
    PASSWORD,
    SUPERUSER,
    LocalPostgres,
    local_postgres,
)
from support.patroni_answers import rest_api

from chaos.workloads.ledger import INSERT_ENTRY, Entry, add_entry, prepare
from replication import Credentials, Storage, Transaction
from replication.unit_rows import BEGIN_ROW
from replication.wire import session_to

OPERATIONS = 200
"""Per worker and round: a round lasts a fraction of a second."""

Write = Callable[[Entry], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One way to write, at one number of workers: a value a round."""

    way: str
    workers: int
    per_s: Sequence[float]
    p50_ms: Sequence[float]
    cpu_ms: Sequence[float]
    """Of the client's process, per operation."""


async def round_of(write: Sequence[Write], tag: str) -> tuple[float, float, float]:
    """One round: operations per second, median latency in ms, CPU of the client in ms each."""
    latencies_s: list[float] = []

    async def work(worker: int) -> None:
        for n in range(OPERATIONS):
            begun_s = time.perf_counter()
            entry = Entry(id=f"{tag}-{worker}-{n}", site="bench", worker=worker, n=n)
            await write[worker](entry)
            latencies_s.append(time.perf_counter() - begun_s)

    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for worker in range(len(write)):
            group.start_soon(work, worker)
    elapsed_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    count = len(latencies_s)
    return count / elapsed_s, statistics.median(latencies_s) * 1000, cpu_s / count * 1000


def through(storage: Storage) -> Write:
    async def write(entry: Entry) -> None:
        async def unit_of_work(transaction: Transaction) -> None:
            await add_entry(transaction, entry)

        await storage.run(unit_of_work, unit_id=entry.id, deadline_s=10)

    return write


def raw(connection: psycopg.AsyncConnection, *, with_id_row: bool) -> Write:
    async def write(entry: Entry) -> None:
        async with connection.transaction():
            if with_id_row:
                cursor = await connection.execute(BEGIN_ROW, (entry.id, 1))
                await cursor.fetchone()
            await connection.execute(INSERT_ENTRY, (entry.id, entry.site, entry.worker, entry.n))

    return write


async def measure(server: LocalPostgres, workers: int, rounds: int) -> list[Figure]:
    """All three ways, in turns."""
    credentials = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    async with rest_api(primary=True) as answers:
        member = answers.member(server)
        async with session_to(member.address, credentials) as admin:
            await prepare(admin, role="bascule_app", password=PASSWORD)
        connections = [
            await psycopg.AsyncConnection.connect(
                server.conninfo(password=PASSWORD), autocommit=True
            )
            for _ in range(workers)
        ]
        async with Storage([member], credentials) as storage:
            ways: dict[str, list[Write]] = {
                "storage": [through(storage)] * workers,
                "raw-pair": [raw(connection, with_id_row=True) for connection in connections],
                "raw-entry": [raw(connection, with_id_row=False) for connection in connections],
            }
            taken: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
            for number in range(-1, rounds):
                for way, write in ways.items():
                    values = await round_of(write, f"{way}-{workers}-{number}")
                    if number >= 0:  # the round before the first warms up
                        taken[way].append(values)
        for connection in connections:
            await connection.close()
    return [
        Figure(
            way=way,
            workers=workers,
            per_s=[value[0] for value in values],
            p50_ms=[value[1] for value in values],
            cpu_ms=[value[2] for value in values],
        )
        for way, values in taken.items()
    ]


def show(results: Sequence[Figure]) -> None:
    """One line a figure, and what the storage layer reaches of each raw way."""
    for figure in results:
        print(
            f"{figure.workers:2d} workers  {figure.way:9s}"
            f"  {figures.spread(figure.per_s, '/s', 0)}"
            f"  p50 {figures.spread(figure.p50_ms, 'ms')}"
            f"  client CPU {figures.spread(figure.cpu_ms, 'ms')}"
        )
        if figure.way != "storage":
            print(f"            storage reaches {ratio(results, figure):.2f} of its throughput")


def ratio(results: Sequence[Figure], beside: Figure) -> float:
    """The median, over the rounds, of the storage layer's throughput over that of ``beside``."""
    ours = next(f for f in results if f.way == "storage" and f.workers == beside.workers)
    return statistics.median(a / b for a, b in zip(ours.per_s, beside.per_s, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    options = parser.parse_args()
    results: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder,
        local_postgres(Path(folder)) as server,
    ):
        for workers in options.workers:
            figures.tell(f"{workers} workers, {options.rounds} rounds")
            results += anyio.run(measure, server, workers, options.rounds)
    if options.json:
        ratios = {
            f"{figure.way}/{figure.workers}": ratio(results, figure)
            for figure in results
            if figure.way != "storage"
        }
        document = {"machine": figures.machine(), "figures": [asdict(f) for f in results]}
        print(json.dumps(document | {"storage_over": ratios}))
    else:
        print(figures.machine())
        show(results)


if __name__ == "__main__":
    main()
