"""Bulk load beside raw COPY: ``python benchmarks/bulk.py [--json] [--rows N] [--rounds N]``.

One PostgreSQL of its own on this machine, with fsync as in production. The same rows go into the
same table, in turns, so that a busy moment of the machine hits all ways:

- ``bulk``: ``BulkLoad.run`` with its defaults, chunk by chunk, ledger and id rows included;
- ``raw``: psycopg's ``copy`` and ``write_row``, all rows in one transaction, synchronous: the
  fastest ordinary way;
- ``raw-async``: the same with psycopg's async connection, as an async application would.

``resume``: a load that stopped half way is run again; the time until its next chunk is
loaded, that chunk included, by rows (taken and thrown away) and by file (sought).
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import figures
import psycopg

# The server and the answers of Patroni's REST API are those of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres, local_postgres
from support.postgres.patroni_answers import rest_api

from replication import Credentials, Storage, StorageSettings
from replication.bulk import BulkLoad, FileFormat, Progress
from replication.schema import install

CREATE = """
    CREATE TABLE patient (
        id bigint PRIMARY KEY, family_name text, born date, site text, weight_kg double precision
    )
"""
COPY = "COPY patient (id, family_name, born, site, weight_kg) FROM STDIN"
COLUMNS = ("id", "family_name", "born", "site", "weight_kg")
SETTINGS = {"fsync": "on", "max_wal_size": "8GB", "shared_buffers": "128MB"}
"""As in production, but that no checkpoint falls into a round by chance."""

Row = tuple[int, str, str, str, float]

LOCAL = StorageSettings(durability="local")
"""Raw COPY waits for no standby, so neither do we."""


def patients(count: int) -> Iterator[Row]:
    """Made up, the same each time; cheap, so that the making weighs little beside the loading."""
    sites = ("paris", "orsay", "saint-cloud")
    for n in range(count):
        yield n, f"name-{n:09d}", "1961-04-12", sites[n % 3], 40 + n % 60 + 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One way: seconds a round."""

    way: str
    elapsed_s: Sequence[float]


def raw(server: LocalPostgres, rows: int) -> None:
    with psycopg.connect(server.conninfo(password=PASSWORD)) as connection:
        with connection.cursor() as cursor, cursor.copy(COPY) as copy:
            for row in patients(rows):
                copy.write_row(row)
        connection.commit()


async def raw_async(server: LocalPostgres, rows: int) -> None:
    connection = await psycopg.AsyncConnection.connect(server.conninfo(password=PASSWORD))
    async with connection:
        async with connection.cursor() as cursor, cursor.copy(COPY) as copy:
            for row in patients(rows):
                await copy.write_row(row)
        await connection.commit()


def load(storage: Storage, name: str) -> BulkLoad:
    return BulkLoad(storage, name=name, table=("public", "patient"), columns=COLUMNS)


async def bulk(storage: Storage, name: str, rows: int) -> None:
    loaded = await load(storage, name).run(patients(rows))
    if loaded.rows != rows:
        raise RuntimeError(f"{loaded.rows} of {rows} rows were loaded")


async def measure(server: LocalPostgres, rows: int, rounds: int) -> list[Figure]:
    """All ways, in turns; then what it costs to resume."""
    credentials = Credentials(user=SUPERUSER, password=PASSWORD, dbname="postgres")
    taken: dict[str, list[float]] = {"bulk": [], "raw": [], "raw-async": []}
    async with (
        rest_api(primary=True) as answers,
        Storage([answers.member(server)], credentials, settings=LOCAL) as storage,
    ):
        await install(storage)
        for number in range(-1, rounds):
            turns = list(taken.items())
            turn = number % len(turns)  # nobody is always first, nor always after the same
            for way, elapsed_s in turns[turn:] + turns[:turn]:
                server.query("TRUNCATE patient")
                server.query("CHECKPOINT")
                begun_s = time.perf_counter()
                if way == "bulk":
                    await bulk(storage, f"round-{number}", rows)
                elif way == "raw":
                    raw(server, rows)
                else:
                    await raw_async(server, rows)
                if number >= 0:  # the round before the first warms up
                    elapsed_s.append(time.perf_counter() - begun_s)
                if server.query("SELECT count(*) FROM patient") != [(rows,)]:
                    raise RuntimeError(f"{way} did not load {rows} rows")
            figures.tell(f"round {number + 1} of {rounds}")
        taken |= await resumes(server, storage, rows, rounds)
    return [Figure(way=way, elapsed_s=elapsed_s) for way, elapsed_s in taken.items()]


class Stopped(Exception):
    """The load was stopped on purpose."""


async def resumes(
    server: LocalPostgres, storage: Storage, rows: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds from the call until the first chunk that was missing is loaded, and its own time."""
    taken: dict[str, list[float]] = {"resume-rows": [], "resume-file": []}
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        path = Path(folder) / "patients.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(patients(rows))
        for number in range(rounds):
            for way, elapsed_s in taken.items():
                server.query("TRUNCATE patient")
                elapsed_s.append(await resume(storage, f"{way}-{number}", path, rows))
    return taken


async def resume(storage: Storage, name: str, path: Path, rows: int) -> float:
    """Stop a load half way, and time how it comes back to where it was."""
    first: list[float] = []

    async def run(until: int) -> None:
        def on_progress(progress: Progress) -> None:
            first.append(time.perf_counter())
            if progress.rows_total >= until:
                raise Stopped

        try:
            if "file" in name:
                await load(storage, name).run_file(path, FileFormat(), on_progress=on_progress)
            else:
                await load(storage, name).run(patients(rows), on_progress=on_progress)
        except Stopped:
            pass

    await run(until=rows // 2)
    first.clear()
    begun_s = time.perf_counter()
    await run(until=0)
    return first[0] - begun_s


def ratio(results: Sequence[Figure], way: str) -> float:
    """The rate of ``bulk`` over that of ``way``: the ratio of the medians of their times."""
    by_way = {figure.way: statistics.median(figure.elapsed_s) for figure in results}
    return by_way[way] / by_way["bulk"]


def paired(results: Sequence[Figure], way: str) -> float:
    """The median, over the rounds, of the same: less at the mercy of a machine that is busy."""
    by_way = {figure.way: figure.elapsed_s for figure in results}
    return statistics.median(a / b for a, b in zip(by_way[way], by_way["bulk"], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder,
        local_postgres(Path(folder), settings=SETTINGS) as server,
    ):
        server.query(CREATE)
        results = anyio.run(measure, server, options.rows, options.rounds)
    ratios = {way: ratio(results, way) for way in ("raw", "raw-async")}
    if options.json:
        document = {"machine": figures.machine(), "rows": options.rows, "bulk_over": ratios}
        document |= {"bulk_over_by_round": {way: paired(results, way) for way in ratios}}
        print(json.dumps(document | {"figures": [asdict(figure) for figure in results]}))
        return
    print(figures.machine())
    for figure in results:
        print(f"{figure.way:12s} {figures.spread(figure.elapsed_s, 's')}")
    for way, value in ratios.items():
        print(
            f"bulk reaches {value:.2f} of the rate of {way}"
            f" (median of the rounds' ratios: {paired(results, way):.2f})"
        )


if __name__ == "__main__":
    main()
