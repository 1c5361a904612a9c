"""A client that reads for long: ``python -m chaos.load.long_query``, its config on stdin.

It reads a table of its own in one snapshot, and goes on in that snapshot for the time that was
asked for; a query that the server cancels, or that it lost, is asked again. It runs until it is
ended.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import LiteralString, Self

import anyio
import psycopg

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.load.admin import DBNAME, superuser_session
from chaos.load.entry import run_process
from cluster.errors import ClusterError
from cluster.patroni.config import POSTGRES_PORT, SUPERUSER
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from replication.access.credentials import Credentials
from replication.wire import Address, Session, connect

APPLICATION = "bascule-long-query"
RETRY_INTERVAL_S = 0.2
POLL_S = 0.05
BITE_TIMEOUT_S = 15.0
"""For the query to begin, and for the record of the vacuum to be replayed up to it."""

ONE_AT_A_TIME: LiteralString = "SELECT 1 WHERE pg_try_advisory_lock(hashtext('bascule.long_query'))"
"""Until the session ends: several replicas may be held up at a time, each by a table of rows that
are there when its query begins. Tried again and again, since who waits in one statement has a
snapshot, and that would keep the rows from being vacuumed."""
MAKE_TABLE: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS bascule",
    "CREATE TABLE IF NOT EXISTS bascule.long_query (n integer)",
    "INSERT INTO bascule.long_query SELECT generate_series(1, 1000)",
)
TAKE_AWAY: tuple[LiteralString, ...] = (
    "DELETE FROM bascule.long_query",
    "VACUUM bascule.long_query",
)
IS_ASKED: LiteralString = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = %s AND state = 'active' AND query LIKE '%%pg_sleep%%'"
)
REPLAY_WAITS: LiteralString = (
    "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'"
    " AND wait_event LIKE 'RecoveryConflict%%'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongQueryConfig:
    """What the drill sends as one line of JSON; ``password`` is in no repr."""

    node: Address
    user: str
    password: str = field(repr=False)
    application: str
    query_s: float

    def to_line(self) -> str:
        """The line of JSON that the process reads."""
        return f"{json.dumps(encode(self))}\n"

    @classmethod
    def from_line(cls, text: str) -> Self:
        """The inverse of ``to_line``.

        Raises:
            ValueError: not JSON, or a key too many or too few.
        """
        try:
            return decode(cls, json.loads(text))
        except FormatError as error:
            raise ValueError(
                f"the config of the long query is not as it should be: {error}"
            ) from error


async def hold_up(
    cluster: RaisedCluster, replica: str, host: str, unit: str, query_s: float
) -> str:
    """Start the process on ``host``, and make the primary vacuum what it reads; in words.

    Raises:
        ClusterError: the replay went on: with ``hot_standby_feedback`` the primary keeps the rows.
    """
    substrate = cluster.substrate
    config = LongQueryConfig(
        node=Address(node=replica, host=substrate.address(replica), port=POSTGRES_PORT),
        user=SUPERUSER,
        password=cluster.credentials.superuser,
        application=f"{APPLICATION}-{replica}",
        query_s=query_s,
    )
    primary = await cluster.primary()
    if primary is None:
        raise ClusterError("there is no primary, whose vacuum a query could hold up")
    try:
        async with (
            superuser_session(cluster, replica, application="bascule-fault") as there,
            superuser_session(cluster, primary, application="bascule-fault") as writer,
        ):
            await _until(writer, ONE_AT_A_TIME)
            for statement in MAKE_TABLE:
                await writer.fetch(statement)
            lsn = (await writer.fetch("SELECT pg_current_wal_flush_lsn()::text"))[0][0]
            await _until(there, "SELECT 1 WHERE pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn)
            argv = (substrate.python, "-m", "chaos.load.long_query")
            await substrate.start_unit(host, Process(name=unit, argv=argv, stdin=config.to_line()))
            await _until(there, IS_ASKED + " HAVING count(*) > 0", config.application)
            for statement in TAKE_AWAY:
                await writer.fetch(statement)
            waits = await _until(there, REPLAY_WAITS)
    except (psycopg.Error, TimeoutError) as error:
        words = f"the replay on {replica} was not held up: {error or 'it went on'}"
        raise ClusterError(words, node=replica) from error
    return f"the replay waits for the query ({waits})"


async def _until(session: Session, question: LiteralString, *values: object) -> object:
    """The first value of the first row, as soon as there is one.

    Raises:
        TimeoutError: there is none in time.
    """
    with anyio.fail_after(BITE_TIMEOUT_S):
        while not (rows := await session.fetch(question, values or None)):
            await anyio.sleep(POLL_S)
    return rows[0][0]


async def _ask(config: LongQueryConfig) -> None:
    """One query, to its end."""
    credentials = Credentials(
        user=config.user,
        password=config.password,
        dbname=DBNAME,
        application_name=config.application,
    )
    settings = {"default_transaction_isolation": "repeatable read"}
    session = await connect(config.node, credentials, settings=settings)
    try:
        await session.fetch(
            "SELECT (SELECT count(*) FROM bascule.long_query), pg_sleep(%s)", (config.query_s,)
        )
    finally:
        await session.close()


async def ask_for_ever(config: LongQueryConfig) -> None:
    """Ask, and ask again where the server ended it, until the process is ended."""
    while True:
        try:
            await _ask(config)
        except psycopg.Error:
            await anyio.sleep(RETRY_INTERVAL_S)


def run_long_query(config: LongQueryConfig) -> None:
    """See ``ask_for_ever``."""
    anyio.run(ask_for_ever, config)


if __name__ == "__main__":
    sys.exit(run_process(LongQueryConfig.from_line, run_long_query))
