"""What the exporter costs: ``python benchmarks/exporter.py [--json]``.

``bascule exporter`` as a process of its own, with 3 and with 30 members: three real PostgreSQL on
this machine (a primary and two replicas, which the 30 share) and a REST answer server a member.
Measured are a scrape (wall time as Prometheus sees it, CPU of the exporter) and, apart from it,
the CPU of a second of probing, which goes on whether somebody scrapes or not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import figures
import psutil
from anyio.streams.buffered import BufferedByteReceiveStream
from psycopg import sql

from chaos.wording import counted

# The servers and the answers of Patroni's REST API are those of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.monitoring.scrapes import get, parse, wait_scrape
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres, local_postgres
from support.postgres.patroni_answers import rest_api

from replication.monitoring.lag import heartbeat_row

SCRAPES = 20
"""A round: enough for CPU time, which is counted in steps of 10 ms."""

PROBING_S = 4.0
"""Between two rounds, for the CPU of probing alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """With one number of members: a value a round."""

    members: int
    series: int
    page_bytes: int
    scrape_ms: Sequence[float]
    scrape_cpu_ms: Sequence[float]
    probing_cpu_ms_per_s: Sequence[float]


@contextmanager
def servers(folder: Path) -> Iterator[list[LocalPostgres]]:
    """A primary and two replicas that stream under their own names."""
    with local_postgres(folder) as primary, ExitStack() as stack:
        for statement in heartbeat_row.setup_statements(SUPERUSER):
            primary.query(statement)
        replicas = [LocalPostgres(folder, name=f"db-{n}") for n in "bc"]
        for replica in replicas:
            replica.copy_from(primary)
            stack.callback(replica.stop)
            replica.start()
            conninfo = f"{primary.conninfo(password=PASSWORD)} application_name={replica.name}"
            replica.query(
                sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(sql.Literal(conninfo))
            )
            replica.query("SELECT pg_reload_conf()")
        yield [primary, *replicas]


@asynccontextmanager
async def exporter(
    postgres: Sequence[LocalPostgres], members: int
) -> AsyncIterator[tuple[psutil.Process, str]]:
    """The command with so many members, once all of them answer it."""
    primary, *replicas = postgres
    async with AsyncExitStack() as stack:
        arguments = []
        for n in range(members):
            rest = await stack.enter_async_context(rest_api(primary=n == 0))
            rest.more = {"role": "primary" if n == 0 else "replica", "dcs_last_seen": 1}
            server = primary if n == 0 else replicas[n % len(replicas)]
            name = server.name if n < len(postgres) else f"db-{n:02}"
            arguments += [
                "--member",
                f"{name}=http://127.0.0.1:{rest.port},127.0.0.1:{server.port},paris",
            ]
        command = [sys.executable, "-m", "chaos", "exporter", "--cluster", "bench"]
        command += ["--user", SUPERUSER, "--listen", "127.0.0.1:0", *arguments]
        process = await anyio.open_process(command, env={"PGPASSWORD": PASSWORD}, stderr=None)
        try:
            assert process.stdout is not None
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1000)
            url = line.decode().split()[-1].removesuffix("/metrics")
            await wait_scrape(
                url,
                lambda page: (
                    page.values("bascule_member_sql_up") == [1] * members
                    and len(page.values("bascule_replica_lag_seconds")) == members - 1
                ),
                what="every member answers",
            )
            yield psutil.Process(process.pid), url
        finally:
            process.terminate()
            await process.wait()
            await process.aclose()


def cpu_s(process: psutil.Process) -> float:
    """User and system time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(postgres: Sequence[LocalPostgres], members: int, rounds: int) -> Figure:
    """All rounds with one number of members."""
    scrape_ms: list[float] = []
    scrape_cpu_ms: list[float] = []
    probing: list[float] = []
    body = ""
    async with exporter(postgres, members) as (process, url):
        for _ in range(rounds):
            begun_s, begun_cpu_s = time.perf_counter(), cpu_s(process)
            await anyio.sleep(PROBING_S)
            per_s = (cpu_s(process) - begun_cpu_s) / (time.perf_counter() - begun_s)
            probing.append(per_s * 1000)
            took_ms = []
            begun_s, begun_cpu_s = time.perf_counter(), cpu_s(process)
            for _ in range(SCRAPES):
                one_s = time.perf_counter()
                _, _, body = await get(f"{url}/metrics")
                took_ms.append((time.perf_counter() - one_s) * 1000)
            elapsed_s = time.perf_counter() - begun_s
            used_s = cpu_s(process) - begun_cpu_s - per_s * elapsed_s
            scrape_cpu_ms.append(max(0.0, used_s) / SCRAPES * 1000)
            scrape_ms.append(statistics.median(took_ms))
    return Figure(
        members=members,
        series=len(parse(body).samples),
        page_bytes=len(body.encode()),
        scrape_ms=scrape_ms,
        scrape_cpu_ms=scrape_cpu_ms,
        probing_cpu_ms_per_s=probing,
    )


def show(figure: Figure) -> None:
    """One paragraph."""
    print(f"{figure.members} members: {figure.series} series, {figure.page_bytes} bytes")
    print(f"  a scrape, wall       {figures.spread(figure.scrape_ms, 'ms', 1)}")
    print(f"  a scrape, CPU        {figures.spread(figure.scrape_cpu_ms, 'ms', 1)}")
    print(f"  a second of probing  {figures.spread(figure.probing_cpu_ms_per_s, 'ms CPU', 1)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="+", default=[3, 30])
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder,
        servers(Path(folder)) as postgres,
    ):
        results = []
        for members in options.members:
            figures.tell(f"{members} members, {counted(options.rounds, 'round', 'rounds')}")
            results.append(anyio.run(measure, postgres, members, options.rounds))
    if options.json:
        print(json.dumps({"machine": figures.machine(), "figures": [asdict(f) for f in results]}))
    else:
        print(figures.machine())
        for figure in results:
            show(figure)


if __name__ == "__main__":
    main()
