"""Plain psycopg in place of the storage layer: what an application does that has only a DSN.

The DSN names every host and asks for one that takes writes (``target_session_attrs=read-write``),
or for a standby to read. Its timeouts are those that guides to high availability advise. A
transaction that failed before its COMMIT is tried again, on a new connection where the old one is
lost, until the deadline.

Or the DSN names proxies (``LoadConfig.doors``), those of the own site first, as applications do
behind HAProxy or PgBouncer: the proxy decides which member that is, so each transaction asks the
server for its address. Statements are not prepared then: in the transaction mode of PgBouncer the
next transaction may have a server that does not know them.

What it lacks is what a drill shows:

- it finds the new primary by trying the hosts one after the other, and an old connection stays
  until TCP gives up on it;
- a COMMIT without an answer stays in doubt, since there is no id row to ask (``Unknown``);
- nothing proves that a standby had confirmed;
- a read on a standby cannot ask for anything: neither for an age nor for a write (no tokens).
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString, TypeVar

import anyio
import psycopg
from psycopg import sql
from psycopg.abc import ConnParam
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from chaos.workloads.config import LoadConfig
from replication import (
    Applied,
    Durability,
    Isolation,
    NotApplied,
    Read,
    ReadFailed,
    Result,
    Token,
    Transaction,
    Unknown,
)
from replication.wire import Params, Query

T = TypeVar("T")

CONNECT_TIMEOUT_S = 2
"""Of one host. The least that libpq takes (manual, 34.1.2, ``connect_timeout``)."""
TCP_USER_TIMEOUT_MS = 5000
"""What was sent and not acknowledged for so long ends the connection."""
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
"""An idle connection to a host that is gone ends after some 11 s."""
PAUSE_S = 0.2
"""Before a transaction is tried again, with jitter."""
DEADLINE_S = 60.0
"""Where a caller gives none."""

PLACE: LiteralString = (
    "SELECT pg_current_wal_insert_lsn()::text,"
    " ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"
)
"""Where the transaction is written, and on which timeline: for the evidence."""
SERVER: LiteralString = "SELECT host(inet_server_addr())"
"""Which member a proxy has led to: the members are known by their addresses there."""

_BEGIN: dict[Isolation | None, LiteralString] = {
    None: "BEGIN",
    "read committed": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "repeatable read": "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE",
}
_LOCAL: LiteralString = "SET LOCAL synchronous_commit = local"


class PlainTransaction(Transaction):
    """What the function of a unit of work gets here: psycopg's connection, and no more."""

    __slots__ = ("_connection", "_node")

    def __init__(self, connection: psycopg.AsyncConnection[TupleRow], node: str) -> None:
        self._connection = connection
        self._node = node

    @property
    def node(self) -> str:
        """The member that the transaction runs on."""
        return self._node

    async def execute(self, query: Query, params: Params | None = None) -> Result:
        """Run one statement."""
        cursor = await self._connection.execute(query, params)
        rows: Sequence[TupleRow] = await cursor.fetchall() if cursor.description else ()
        return Result(rows=rows, rowcount=cursor.rowcount)


@dataclass(slots=True)
class _Try:
    """One transaction on its way."""

    begun_s: float
    node: str | None = None
    is_committing: bool = False


class PsycopgClient:
    """See the module. Closes its connections with ``aclose``.

    Args:
        config: whom to connect to, and as whom. The hosts of the own site stand first in the DSN.
    """

    def __init__(self, config: LoadConfig) -> None:
        self._nodes = {member.host: member.name for member in config.members}
        self._is_proxied = bool(config.doors)
        common: dict[str, ConnParam] = {
            "user": config.user,
            "password": config.password,
            "application_name": f"bascule-load-{config.site}",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
            **KEEPALIVES,
        }
        if config.doors:
            doors = sorted(config.doors, key=lambda one: one.site != config.site)
            self._to_write = _dsn(
                [(door.host, door.primary_port) for door in doors],
                dbname=doors[0].primary_dbname,
                **common,
            )
            self._to_read = _dsn(
                [(door.host, door.replicas_port) for door in doors],
                dbname=doors[0].replicas_dbname,
                **common,
            )
        else:
            members = sorted(config.members, key=lambda one: one.site != config.site)
            places = [(member.host, member.port) for member in members]
            common["dbname"] = config.dbname
            self._to_write = _dsn(places, target_session_attrs="read-write", **common)
            self._to_read = _dsn(places, target_session_attrs="standby", **common)
        self._idle: dict[str, list[psycopg.AsyncConnection[TupleRow]]] = {
            self._to_write: [],
            self._to_read: [],
        }

    async def aclose(self) -> None:
        """Close what is idle."""
        for connections in self._idle.values():
            while connections:
                await connections.pop().close()

    async def run(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        unit_id: str | None = None,
        deadline_s: float | None = None,
        durability: Durability | None = None,
        isolation: Isolation | None = None,
    ) -> Applied[T]:
        """Apply ``fn`` in one transaction; ``unit_id`` is only told, no row has it.

        Raises:
            NotApplied: it did not take effect before the deadline.
            Unknown: its COMMIT had no answer.
        """
        started_s = time.monotonic()
        id_, attempts = unit_id or uuid.uuid4().hex, 0
        begin = [_BEGIN[isolation], *([_LOCAL] if durability == "local" else [])]
        while True:
            attempts += 1
            one = _Try(begun_s=time.monotonic())
            error: Exception
            try:
                with anyio.fail_after(_left_s(started_s, deadline_s)):
                    value, lsn, timeline = await self._transaction(fn, begin, one)
            except (psycopg.Error, TimeoutError) as failed:
                error = failed
            else:
                return Applied(
                    value=value,
                    unit_id=id_,
                    row_attempt=attempts,
                    attempt_key=uuid.uuid4(),
                    node=one.node or "",
                    timeline=timeline,
                    lsn=lsn,
                    attempts=attempts,
                    attempt_s=one.begun_s,
                    elapsed_s=time.monotonic() - started_s,
                    resolved=False,
                )
            sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
            words = " ".join(str(error).split()) or "the deadline passed"
            elapsed_s = time.monotonic() - started_s
            # An ERROR in answer to COMMIT proves that it was rolled back; silence proves nothing.
            if one.is_committing and (sqlstate is None or sqlstate.startswith(("08", "57P"))):
                raise Unknown(
                    f"nobody knows whether {id_} was applied: {words}",
                    unit_id=id_,
                    node=one.node,
                    sqlstate=sqlstate,
                    elapsed_s=elapsed_s,
                    attempts=attempts,
                ) from error
            if _left_s(started_s, deadline_s) <= PAUSE_S:
                raise NotApplied(
                    f"{id_} was not applied: {words}",
                    unit_id=id_,
                    node=one.node,
                    sqlstate=sqlstate,
                    elapsed_s=elapsed_s,
                    attempts=attempts,
                ) from error
            await anyio.sleep(PAUSE_S * random.uniform(0.5, 1.5))

    async def read(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        max_staleness_s: float | None = None,
        after: Token | None = None,
        isolation: Isolation | None = None,
        deadline_s: float | None = None,
    ) -> Read[T]:
        """Run ``fn`` on a standby, as it is; one attempt.

        Raises:
            ReadFailed: there was none, or it was lost.
            ValueError: the read asks for a write to be seen, which only a token can.
        """
        del max_staleness_s  # nobody knows how old it is
        if after is not None:
            raise ValueError("plain psycopg has no tokens")
        started_s = time.monotonic()
        try:
            with anyio.fail_after(_left_s(started_s, deadline_s)):
                connection = await self._borrow(self._to_read)
                try:
                    await connection.execute(sql.SQL(f"{_BEGIN[isolation]} READ ONLY"))
                    node = await self._node_of(connection)
                    value = await fn(PlainTransaction(connection, node))
                    await connection.execute("COMMIT")
                finally:
                    await self._give_back(self._to_read, connection)
        except (psycopg.Error, TimeoutError) as error:
            raise ReadFailed(
                f"the read was not served: {' '.join(str(error).split()) or 'no answer in time'}",
                unit_id=None,
                node=None,
                sqlstate=error.sqlstate if isinstance(error, psycopg.Error) else None,
                elapsed_s=time.monotonic() - started_s,
                attempts=1,
            ) from error
        return Read(value=value, node=node, source="replica", staleness_s=None)

    async def _transaction(
        self, fn: Callable[[Transaction], Awaitable[T]], begin: list[LiteralString], one: _Try
    ) -> tuple[T, str, int]:
        """What ``fn`` returns, and where it was written."""
        connection = await self._borrow(self._to_write)
        try:
            for statement in begin:
                await connection.execute(sql.SQL(statement))
            one.node = await self._node_of(connection)
            value = await fn(PlainTransaction(connection, one.node))
            place = await (await connection.execute(PLACE)).fetchone()
            assert place is not None  # a SELECT without FROM has one row
            one.is_committing = True
            await connection.execute("COMMIT")
        finally:
            await self._give_back(self._to_write, connection)
        return value, str(place[0]), int(place[1])

    async def _borrow(self, conninfo: str) -> psycopg.AsyncConnection[TupleRow]:
        idle = self._idle[conninfo]
        if idle:
            return idle.pop()
        connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        if self._is_proxied:
            connection.prepare_threshold = None
        return connection

    async def _give_back(
        self, conninfo: str, connection: psycopg.AsyncConnection[TupleRow]
    ) -> None:
        """Keep a connection that is between transactions, close every other one."""
        status = connection.info.transaction_status
        if not connection.broken and status is psycopg.pq.TransactionStatus.IDLE:
            self._idle[conninfo].append(connection)
        else:
            with anyio.CancelScope(shield=True):
                await connection.close()

    async def _node_of(self, connection: psycopg.AsyncConnection[TupleRow]) -> str:
        """The member that the transaction runs on."""
        if not self._is_proxied:
            return self._nodes[connection.info.host]
        found = await (await connection.execute(SERVER)).fetchone()
        assert found is not None  # a SELECT without FROM has one row
        return self._nodes[str(found[0])]


def _dsn(places: Sequence[tuple[str, int]], **options: ConnParam) -> str:
    """Of several hosts, each with its port."""
    hosts = ",".join(host for host, _ in places)
    return make_conninfo("", host=hosts, port=",".join(str(port) for _, port in places), **options)


def _left_s(started_s: float, deadline_s: float | None) -> float:
    return max(0.0, started_s + (deadline_s or DEADLINE_S) - time.monotonic())
