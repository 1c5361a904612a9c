"""Small writes and reads beside psycopg_pool, asyncpg and SQLAlchemy:
``python benchmarks/writes.py``.

One PostgreSQL of its own on this machine with a real synchronous standby (``pg_receivewal``),
without network delay and in memory, so that what the client does weighs as much as it ever can.
All ways (``contenders.py``) take turns in short rounds, so that a busy moment of the machine hits
all of them; a ratio is the median, over the rounds, of what two ways did in the same round.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import figures

# The server, its standby and the answers of Patroni's REST API are those of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from contenders import Kind, Operation, contenders
from support.postgres.local_postgres import LocalPostgres, local_postgres
from support.postgres.wal_receiver import STANDBYS, wal_receiver

OPERATIONS = {1: 400, 8: 100, 32: 40}
"""Per worker and round, by workers: a round of one way lasts about a second."""

CONNECTIONS_MAX = 200
"""At 32 workers four pools hold 32 connections each."""

MEMORY = Path("/dev/shm")
"""The standby really waits for its disk, and a disk that others use too would drown everything."""

KINDS: tuple[Kind, ...] = ("write", "read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One way at one number of workers: a value a round."""

    kind: Kind
    way: str
    workers: int
    per_s: Sequence[float]
    p50_ms: Sequence[float]
    p99_ms: Sequence[float]
    cpu_ms: Sequence[float]
    """Of the client's process, per operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one way did in one round."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


async def round_of(operation: Operation, tag: str, *, workers: int, count: int) -> Round:
    """``count`` operations by each of ``workers``."""
    latencies_s: list[float] = []

    async def work(worker: int) -> None:
        for n in range(count):
            begun_s = time.perf_counter()
            await operation(f"{tag}-{worker}-{n}")
            latencies_s.append(time.perf_counter() - begun_s)

    gc.collect()  # nobody pays for what the one before left behind
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for worker in range(workers):
            group.start_soon(work, worker)
    elapsed_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    total = len(latencies_s)
    return Round(
        per_s=total / elapsed_s,
        p50_ms=statistics.median(latencies_s) * 1000,
        p99_ms=statistics.quantiles(latencies_s, n=100)[98] * 1000,
        cpu_ms=cpu_s / total * 1000,
    )


async def measure(server: LocalPostgres, kind: Kind, workers: int, rounds: int) -> list[Figure]:
    """All ways, in turns; each round begins with another one."""
    count = OPERATIONS.get(workers, max(20, 1000 // workers))
    async with contenders(server, kind, workers) as ways:
        taken: dict[str, list[Round]] = {way: [] for way in ways}
        names = list(ways)
        for number in range(-1, rounds):
            for turn in range(len(names)):
                way = names[(turn + number) % len(names)]
                tag = f"{way}-{workers}-{number}"
                values = await round_of(ways[way], tag, workers=workers, count=count)
                if number >= 0:  # the round before the first warms up
                    taken[way].append(values)
    return [
        Figure(
            kind=kind,
            way=way,
            workers=workers,
            per_s=[one.per_s for one in values],
            p50_ms=[one.p50_ms for one in values],
            p99_ms=[one.p99_ms for one in values],
            cpu_ms=[one.cpu_ms for one in values],
        )
        for way, values in taken.items()
    ]


def ratio(results: Sequence[Figure], beside: Figure) -> float:
    """What the storage layer reaches of the throughput of ``beside``, round by round."""
    ours = next(
        figure
        for figure in results
        if (figure.kind, figure.way, figure.workers) == (beside.kind, "storage", beside.workers)
    )
    return statistics.median(a / b for a, b in zip(ours.per_s, beside.per_s, strict=True))


def show(results: Sequence[Figure]) -> None:
    """One line a figure."""
    print("kind   workers  way         per second  p50 ms  p99 ms  client CPU ms  storage reaches")
    for figure in results:
        reached = "" if figure.way == "storage" else f"{ratio(results, figure):17.2f}"
        print(
            f"{figure.kind:5s}  {figure.workers:7d}  {figure.way:10s}"
            f"  {statistics.median(figure.per_s):10.0f}"
            f"  {statistics.median(figure.p50_ms):6.2f}  {statistics.median(figure.p99_ms):6.2f}"
            f"  {statistics.median(figure.cpu_ms):13.3f}{reached}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    results: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(
            prefix="bascule-bench-", dir=MEMORY if MEMORY.is_dir() else None
        ) as name,
        local_postgres(Path(name), settings={"max_connections": str(CONNECTIONS_MAX)}) as server,
        wal_receiver(server, Path(name)),
    ):
        server.set("synchronous_standby_names", STANDBYS)
        for kind in options.kinds:
            for workers in options.workers:
                figures.tell(f"{kind}, {workers} workers, {options.rounds} rounds")
                results += anyio.run(measure, server, kind, workers, options.rounds)
    if options.json:
        ratios = {
            f"{figure.kind}/{figure.workers}/{figure.way}": ratio(results, figure)
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
