"""One client of ``reroute.py``, run on an application's host: ``reroute_client.py ROLE``.

Its config comes on stdin as a line of JSON. It prints a line of JSON for everything that happened
to one of its writes, with the clock of the machine (CLOCK_MONOTONIC), until it is ended.

- ``storage``: ``Storage.run``, durability ``quorum``;
- ``pool``: ``psycopg_pool`` as its manual advises for servers that come and go: several hosts in
  the DSN, ``target_session_attrs=read-write``, ``check=AsyncConnectionPool.check_connection``, and
  the same socket options that the storage layer sets;
- ``prober``: one connection straight to each surviving node, a write every 5 ms. Its first
  acknowledged write is the moment from which the cluster serves: what came before, nobody could
  have had.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from replication import Credentials, Member, Storage, StorageError, Transaction, Unknown

WORKERS = 4
PAUSE_S = 0.01
"""Between two writes of a worker, and after an error: nobody hammers a cluster that is down."""

PROBE_S = 0.005

DEADLINE_S = 60.0
"""Of a unit of work: longer than the failover takes."""

SOCKET_OPTIONS = (
    "connect_timeout=2 keepalives_idle=1 keepalives_interval=1 keepalives_count=3"
    " tcp_user_timeout=4000"
)

INSERT = "INSERT INTO bascule.ledger (id, site, worker, n) VALUES (%s, %s, %s, %s)"

LOOK = "SELECT NOT pg_is_in_recovery(), current_setting('synchronous_standby_names') <> ''"
"""Promoted, and with somebody to wait for: a commit that waits for nobody is not the service that
was promised."""

Config = dict[str, Any]


def say(what: str, **more: object) -> None:
    """One line; the reader may be looking while it is written."""
    print(json.dumps({"t_s": time.monotonic(), "what": what, **more}), flush=True)


async def work(one: Callable[[int, int], Awaitable[None]]) -> None:
    """All workers, for ever; ``one`` is told the worker and counts its writes."""

    async def worker(number: int) -> None:
        n = 0
        while True:
            await one(number, n)
            n += 1
            await anyio.sleep(PAUSE_S)

    async with anyio.create_task_group() as group:
        for number in range(WORKERS):
            group.start_soon(worker, number)


async def through_storage(config: Config) -> None:
    """Until it is ended."""
    credentials = Credentials(
        user=config["user"], password=config["password"], dbname=config["dbname"]
    )
    members = [Member(**member) for member in config["members"]]
    async with Storage(members, credentials, observers=[tell_event]) as storage:

        async def one(worker: int, n: int) -> None:
            unit_id = f"{config['tag']}-storage-{worker}-{n}"

            async def unit_of_work(transaction: Transaction) -> None:
                await transaction.execute(INSERT, (unit_id, "storage", worker, n))

            try:
                await storage.run(unit_of_work, unit_id=unit_id, deadline_s=DEADLINE_S)
            except StorageError as error:
                kind = "unknown" if isinstance(error, Unknown) else "error"
                say(kind, why=f"{type(error).__name__}: {error}")
            else:
                say("ok")

        await work(one)


def tell_event(event: object) -> None:
    """What the storage layer noticed, for whoever wants to know where the time went."""
    name = type(event).__name__
    if name in ("PrimaryLost", "PrimaryFound", "AttemptFailed", "DoubtResolved", "SessionOpened"):
        say("event", event=str(event))


async def through_pool(config: Config) -> None:
    """Until it is ended."""
    pool = AsyncConnectionPool(
        make_conninfo(
            SOCKET_OPTIONS,
            host=",".join(member["host"] for member in config["members"]),
            port=",".join(str(member["port"]) for member in config["members"]),
            user=config["user"],
            password=config["password"],
            dbname=config["dbname"],
            target_session_attrs="read-write",
        ),
        min_size=WORKERS,
        max_size=WORKERS,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )

    async def one(worker: int, n: int) -> None:
        was_executed = False
        try:
            async with pool.connection() as connection:
                entry = (f"{config['tag']}-pool-{worker}-{n}", "pool", worker, n)
                await connection.execute(INSERT, entry)
                was_executed = True
        except psycopg.Error as error:
            # Once COMMIT was sent, a lost connection says nothing about what became of it.
            kind = "unknown" if was_executed else "error"
            say(kind, why=f"{type(error).__name__}: {error}")
        else:
            say("ok")

    async with pool:
        await work(one)


async def probe(config: Config) -> None:
    """Until it is ended."""
    async with anyio.create_task_group() as group:
        for member in config["probed"]:
            group.start_soon(probe_node, config, member)


async def probe_node(config: Config, member: dict[str, Any]) -> None:
    """Write to one node as soon as it takes writes."""
    conninfo = make_conninfo(
        SOCKET_OPTIONS,
        host=member["host"],
        port=member["port"],
        user=config["user"],
        password=config["password"],
        dbname=config["dbname"],
    )
    n, was_promoted = 0, False
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as direct:
                while True:
                    try:
                        is_promoted, before = await look(direct)
                        if is_promoted and not was_promoted:
                            was_promoted = True
                            say("promoted", node=member["name"])
                        if is_promoted:
                            await direct.execute(INSERT, (f"probe-{n}", "probe", 0, n))
                            _, after = await look(direct)
                            say("ok" if before and after else "unprotected", node=member["name"])
                            n += 1
                    except psycopg.Error as error:
                        if direct.closed:
                            raise
                        say("refused", node=member["name"], why=str(error))
                    await anyio.sleep(PROBE_S)
        except psycopg.Error as error:
            say("error", node=member["name"], why=str(error))
            await anyio.sleep(PROBE_S)


async def look(direct: psycopg.AsyncConnection[Any]) -> tuple[bool, bool]:
    """``LOOK``."""
    row = await (await direct.execute(LOOK)).fetchone()
    assert row is not None
    return row[0], row[1]


ROLES = {"storage": through_storage, "pool": through_pool, "prober": probe}


def main() -> None:
    logging.disable()  # pools that lose everything at once have a lot to say
    anyio.run(ROLES[sys.argv[1]], json.loads(sys.stdin.readline()))


if __name__ == "__main__":
    main()
