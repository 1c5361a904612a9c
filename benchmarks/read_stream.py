"""A large read beside other programs' ways: ``python benchmarks/read_stream.py``.

A primary and a replica on this machine; the table has a million rows of eight columns. Every way
reads all of it from the replica, in a process of its own: shown are rows per second, how much
memory that took beyond what the process had when it was connected, its CPU time, and, in a second
part, what becomes of the read when the replica is stopped immediately on the way.

- ``fetchall``, ``cursor``: psycopg, all at once, and with a server-side cursor of 10,000 rows;
- ``adbc``: ``adbc-driver-postgresql``, its reader of record batches;
- ``connectorx``: in one piece, and in two (``connectorx-2``), which it reads at once;
- ``rows``, ``arrow``: ``Storage.read_stream`` and ``read_arrow_stream``; ``snapshot``: the latter
  of one snapshot. Only these hand out the rows in the order of the key.

``--others PYTHON`` names an interpreter that has psycopg, adbc-driver-postgresql, pyarrow and
connectorx; what it lacks is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.postgres.local_postgres import LocalPostgres

QUERY = "SELECT * FROM visit"
OTHERS = ("fetchall", "cursor", "adbc", "connectorx", "connectorx-2")
OURS = ("rows", "arrow", "snapshot")
CURSOR_ROWS = 10_000


def memory_mib(field: str) -> float:
    """A line of ``/proc/self/status``: ``VmRSS``, or its peak ``VmHWM``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(field)


class Reading:
    """One way, as it reads: what is printed at its end, and where it stood when it broke."""

    def __init__(self) -> None:
        self.rows = 0
        self.begun_s = 0.0
        self.base_mib = 0.0
        self.base_cpu_s = 0.0

    def begin(self) -> None:
        self.base_mib = memory_mib("VmRSS")
        self.begun_s, self.base_cpu_s = time.monotonic(), time.process_time()
        print("begun", flush=True)

    def end(self, error: BaseException | None = None) -> None:
        said = {
            "rows": self.rows,
            "elapsed_s": time.monotonic() - self.begun_s,
            "cpu_s": time.process_time() - self.base_cpu_s,
            "grown_mib": memory_mib("VmHWM") - self.base_mib,
            "peak_mib": memory_mib("VmHWM"),
            "error": None if error is None else f"{type(error).__name__}: {error}"[:90],
        }
        print(json.dumps(said), flush=True)


def read_with_others(way: str, uri: str) -> Iterable[int]:
    """How many rows each piece had; the first piece has none: it is connected."""
    if way in {"fetchall", "cursor"}:
        import psycopg  # noqa: PLC0415

        with psycopg.connect(uri) as connection:
            if way == "fetchall":
                yield 0
                yield len(connection.execute(QUERY).fetchall())
                return
            with connection.cursor(name="c") as cursor:
                yield 0
                cursor.execute(QUERY)
                while rows := cursor.fetchmany(CURSOR_ROWS):
                    yield len(rows)
    elif way == "adbc":
        dbapi: Any = importlib.import_module("adbc_driver_postgresql.dbapi")
        with dbapi.connect(uri) as adbc, adbc.cursor() as cursor:
            yield 0
            cursor.execute(QUERY)
            for batch in cursor.fetch_record_batch():
                yield batch.num_rows
    else:
        connectorx: Any = importlib.import_module("connectorx")
        importlib.import_module("pyarrow")
        pieces: dict[str, Any] = (
            {} if way == "connectorx" else {"partition_on": "id", "partition_num": 2}
        )
        yield 0
        table = connectorx.read_sql(uri, QUERY, return_type="arrow", **pieces)
        yield table.num_rows


def work(way: str, uri: str) -> None:
    """In a process of its own, in an interpreter that may be another one."""
    reading = Reading()
    pieces = iter(read_with_others(way, uri))
    next(pieces)
    reading.begin()
    try:
        for rows in pieces:
            reading.rows += rows
    except Exception as error:
        reading.end(error)
    else:
        reading.end()


async def work_ours(way: str, members_json: str, batch_rows: int) -> None:
    """The same with a storage."""
    from support.postgres.read_pair import CREDENTIALS, anything  # noqa: PLC0415

    from replication import Member, Storage, StorageSettings  # noqa: PLC0415

    members = [Member(**one) for one in json.loads(members_json)]
    settings = StorageSettings(durability="local", prefer_site="orsay")
    reading, last = Reading(), 0
    async with Storage(members, CREDENTIALS, settings=settings) as storage:
        while (await storage.read(anything, max_staleness_s=60)).source != "replica":
            pass
        if way != "rows":
            import pyarrow.csv  # noqa: F401, PLC0415
        reading.begin()
        read = storage.read_stream if way == "rows" else storage.read_arrow_stream
        try:
            async with read(
                QUERY, key="id", snapshot=way == "snapshot", batch_rows=batch_rows
            ) as stream:
                async for batch in stream:
                    first = batch[0][0] if way == "rows" else batch[0][0].as_py()
                    assert first == last + 1, "one is missing, or comes twice"
                    reading.rows += len(batch)
                    last = batch[-1][0] if way == "rows" else batch[0][-1].as_py()
                    assert last == reading.rows
        except Exception as error:
            reading.end(error)
        else:
            reading.end()


class Ground:
    """The servers, and how a way is run on them."""

    def __init__(self, replica: LocalPostgres, members: str, others: str, batch_rows: int) -> None:
        self.replica = replica
        self._members = members
        self._others = others
        self._batch_rows = str(batch_rows)

    async def run(self, way: str, *, kill_after_s: float | None = None) -> dict[str, Any] | None:
        """What ``way`` did; None if it is not installed."""
        import anyio.to_thread  # noqa: PLC0415

        is_ours = way in OURS
        uri = f"postgresql://postgres:not-a-secret@127.0.0.1:{self.replica.port}/postgres"
        command = [
            *(sys.executable if is_ours else self._others, __file__),
            *("--batch-rows", self._batch_rows),
            *("--way", way, self._members if is_ours else uri),
        ]
        async with await anyio.open_process(command, stderr=None) as process:
            assert process.stdout is not None
            said = b""
            async for part in process.stdout:
                if not said and kill_after_s is not None:  # it has begun
                    await anyio.sleep(kill_after_s)
                    await anyio.to_thread.run_sync(self.replica.stop)  # immediately
                said += part
            await process.wait()
        if kill_after_s is not None:
            self.replica.start()
        lines = said.splitlines()
        return json.loads(lines[-1]) if lines else None


async def main(rows: int, runs: int, others: str, batch_rows: int, ways: Sequence[str]) -> None:
    """Raise the servers, fill the table, run every way."""
    import figures  # noqa: PLC0415
    from support.postgres.local_postgres import local_postgres, replica_of  # noqa: PLC0415
    from support.postgres.patroni_answers import rest_api  # noqa: PLC0415

    print(figures.machine())
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder, ExitStack() as servers:
        primary = servers.enter_context(local_postgres(Path(folder)))
        primary.query(
            "CREATE TABLE visit (id bigint PRIMARY KEY, person integer NOT NULL, day date,"
            " seen timestamptz, weight float8, cost numeric(10, 2), open boolean, note text)"
        )
        primary.query(
            "INSERT INTO visit SELECT n, n %% 60000, date '2015-01-01' + n %% 4000,"
            " timestamptz '2026-01-01' + n * interval '7 seconds', n / 7.0, n / 100.0,"
            " n %% 3 = 0, CASE WHEN n %% 10 > 0 THEN 'a note of visit ' || n END"
            " FROM generate_series(1, %s) AS n",
            (rows,),
        )
        primary.query("VACUUM (ANALYZE, FREEZE) visit")
        primary.query("CHECKPOINT")
        replica = servers.enter_context(replica_of(primary, Path(folder)))
        async with AsyncExitStack() as stack:
            members = []
            for server, site in ((primary, "paris"), (replica, "orsay")):
                answers = await stack.enter_async_context(rest_api(primary=server is primary))
                answers.server = server
                members.append(answers.member(server, site=site))
            told = json.dumps(
                [
                    {
                        name: getattr(one, name)
                        for name in ("name", "rest_url", "host", "port", "site")
                    }
                    for one in members
                ]
            )
            ground = Ground(replica, told, others, batch_rows)
            await ground.run("arrow")  # so that every way finds the table in memory
            await compare(ground, rows, runs, ways)


async def compare(ground: Ground, rows: int, runs: int, ways: Sequence[str]) -> None:
    """Print both tables."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(runs):  # in turns, so that a slow minute hits all
        for way in ways:
            said = await ground.run(way)
            if said is not None:
                assert said["rows"] == rows, said
                found.setdefault(way, []).append(said)
    print(f"\nload average {os.getloadavg()[0]:.1f}; {rows} rows, {runs} runs in turns; medians:")
    whole = statistics.median(one["grown_mib"] for one in found["fetchall"])
    for way in ways:
        if way not in found:
            print(f"  {way:12s} is not installed in the interpreter of --others")
            continue
        pace = sorted(rows / one["elapsed_s"] / 1000 for one in found[way])
        cpu_s = statistics.median(one["cpu_s"] for one in found[way])
        grown = statistics.median(one["grown_mib"] for one in found[way])
        print(
            f"  {way:12s} {statistics.median(pace):6.0f} thousand rows/s"
            f" ({pace[0]:.0f} to {pace[-1]:.0f})   {grown:6.0f} MiB more"
            f" ({100 * grown / whole:.0f} % of fetchall)   {cpu_s:.2f} s of client CPU"
        )
    print("\nthe replica is stopped, immediately, on the way:")
    for way, done in found.items():
        third_s = min(one["elapsed_s"] for one in done) / 3
        said = await ground.run(way, kill_after_s=third_s)
        assert said is not None
        end = said["error"] or f"in {said['elapsed_s']:.1f} s"
        print(f"  {way:12s} {said['rows']:8d} rows, {end}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batch-rows", type=int, default=20_000, help="of our ways")
    parser.add_argument("--others", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--ways", nargs="+", choices=(*OTHERS, *OURS), default=(*OTHERS, *OURS))
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is not None and options.way[0] in OTHERS:
        work(*options.way)
        sys.exit()
    import anyio

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    if options.way is not None:
        way, members = options.way
        anyio.run(work_ours, way, members, options.batch_rows)
    else:
        ways = list(dict.fromkeys(("fetchall", *options.ways)))
        anyio.run(main, options.rows, options.runs, options.others, options.batch_rows, ways)
