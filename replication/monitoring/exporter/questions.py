"""The questions that the exporter asks, over HTTP and in SQL, each with its deadline.

A question that misses its deadline has the answer None; its connection is closed at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import psycopg

from replication.access.credentials import Credentials
from replication.monitoring.lag import heartbeat_row
from replication.monitoring.lag.sql_answer import ASK, SqlAnswer, parse_answer
from replication.patroni.client import UNANSWERED, Http, HttpAnswer
from replication.patroni.members import Member
from replication.wire import Session, connect

SQL_DEADLINE_S = 2.0
"""The whole round of one member: connecting if necessary, its state, the heartbeat."""

DCS_DEADLINE_S = 3.0
"""etcd 3.4 gives its own linearizable read 1 s before it says that it is not healthy."""


async def get_or_complain(
    http: Http, url: str, *, deadline_s: float, complain: Callable[[str], None]
) -> HttpAnswer | None:
    """The answer; None when there was none in time, and ``complain`` is told why. Never raises."""
    try:
        return await http.get(url, deadline_s=deadline_s)
    except TimeoutError:
        complain(f"no answer within {deadline_s:g} s")
    except UNANSWERED as error:
        complain(str(error) or type(error).__name__)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of SQL on a member found. ``number``: its heartbeat, None if it could not be
    read."""

    answer: SqlAnswer
    number: int | None


class SqlMember:
    """A kept session to one member; a new one after anything went wrong."""

    def __init__(
        self,
        member: Member,
        credentials: Credentials,
        *,
        writer: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._member = member
        self._credentials = credentials
        self._writer = writer
        self._clock = clock
        self._session: Session | None = None
        self._pruned = False

    async def ask(self, complain: Callable[[str], None]) -> Round | None:
        """Its state, and a replica's heartbeat. None: no answer within the deadline."""
        try:
            with anyio.fail_after(SQL_DEADLINE_S):
                return await self._round()
        except TimeoutError:
            complain(f"no answer within {SQL_DEADLINE_S:g} s")
        except psycopg.Error as error:
            complain(" ".join(str(error).split()))
        await self.aclose()
        return None

    async def beat(self, number: int, complain: Callable[[str], None]) -> tuple[bool, int | None]:
        """Write heartbeat ``number``: whether it was committed, and what the row had before."""
        if self._session is None:
            return False, None
        try:
            with anyio.fail_after(SQL_DEADLINE_S):
                if not self._pruned:
                    await self._session.fetch(heartbeat_row.PRUNE, {"writer": self._writer})
                    self._pruned = True
                values = {"writer": self._writer, "number": number}
                rows = await self._session.fetch(heartbeat_row.BEAT, values)
        except TimeoutError:
            complain(f"no heartbeat could be written within {SQL_DEADLINE_S:g} s")
        except psycopg.Error as error:
            complain(f"no heartbeat could be written: {' '.join(str(error).split())}")
        else:
            return (True, rows[0][0]) if rows else (False, None)
        await self.aclose()
        return False, None

    async def aclose(self) -> None:
        """Close the session without waiting."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _round(self) -> Round:
        session = self._session
        if session is None:
            session = self._session = await connect(
                self._member.address,
                self._credentials,
                deadline_s=SQL_DEADLINE_S,
                settings=heartbeat_row.SESSION_SETTINGS,
            )
            await session.fetch(heartbeat_row.WAIT_FOR_NO_STANDBY)
        row = (await session.fetch(ASK))[0]
        answer = parse_answer(row, session.system_identifier)
        if not answer.in_recovery or "heartbeat" in answer.missing:
            return Round(answer=answer, number=None)
        rows = await session.fetch(heartbeat_row.READ, (self._writer,))
        return Round(answer=answer, number=rows[0][0] if rows else 0)
