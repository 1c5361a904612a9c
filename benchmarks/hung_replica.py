"""What a replica that hangs costs the reads of others: ``python benchmarks/hung_replica.py``.

A primary and two replicas on this machine; all processes of one replica are stopped (SIGSTOP), as
on a host that is out of memory or a disk that hangs; its Patroni goes on answering. Reads with a
bound of staleness go on; shown is how long they take before, from then on, and after it has woken
up, and how soon it serves again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import figures

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.postgres.ledger_units import CREDENTIALS, prepare_ledger
from support.postgres.local_postgres import LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import rest_api

from replication import Storage, StorageSettings, Transaction

BOUND_S = 5.0
READERS = 4


async def reads(storage: Storage, for_s: float) -> tuple[list[float], dict[str, int]]:
    """Several readers at once: how long each read took in milliseconds, and who served."""
    took_ms: list[float] = []
    served: dict[str, int] = {}
    end_s = time.monotonic() + for_s

    async def one(transaction: Transaction) -> None:
        await transaction.execute("SELECT 1")

    async def reader() -> None:
        while time.monotonic() < end_s:
            begun_s = time.monotonic()
            read = await storage.read(one, max_staleness_s=BOUND_S)
            took_ms.append(1000 * (time.monotonic() - begun_s))
            served[read.node] = served.get(read.node, 0) + 1
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as group:
        for _ in range(READERS):
            group.start_soon(reader)
    return took_ms, served


def show(what: str, took_ms: list[float], served: dict[str, int]) -> None:
    took_ms.sort()
    marks = " ".join(
        f"p{mark:g} {took_ms[min(len(took_ms) - 1, int(len(took_ms) * mark / 100))]:8.1f}"
        for mark in (50, 99, 99.9)
    )
    print(f"  {what:24s} {len(took_ms):6d} reads, ms: {marks} max {took_ms[-1]:8.1f}   {served}")


async def main(folder: Path, for_s: float) -> None:
    with ExitStack() as servers:
        primary = servers.enter_context(local_postgres(folder))
        replicas = [
            servers.enter_context(replica_of(primary, folder, name=name))
            for name in ("db-b", "db-c")
        ]
        await prepare_ledger(primary)
        async with AsyncExitStack() as stack:
            members = []
            all_servers: list[LocalPostgres] = [primary, *replicas]
            for server in all_servers:
                answers = await stack.enter_async_context(rest_api(primary=server is primary))
                answers.server = server if server is not replicas[0] else None
                answers.more = {"replication_state": "streaming"}
                site = "near" if server is replicas[0] else "far"
                members.append(answers.member(server, site=site))
            settings = StorageSettings(durability="local", prefer_site="near")
            storage = await stack.enter_async_context(
                Storage(members, CREDENTIALS, settings=settings)
            )
            await reads(storage, 3)
            show("both well", *await reads(storage, for_s))
            pids = replicas[0].pids()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                show("one replica stopped", *await reads(storage, for_s))
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            woken_s = time.monotonic()
            while not (await reads(storage, 0.02))[1].get("db-b"):
                pass
            print(f"  it serves again after    {time.monotonic() - woken_s:.2f} s")
            show("woken up", *await reads(storage, for_s))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each of the three parts")
    options = parser.parse_args()
    print(figures.machine())
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as temporary:
        anyio.run(main, Path(temporary), options.seconds)
