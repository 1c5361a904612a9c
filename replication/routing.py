"""Sessions to the primary: found, kept for reuse, and dropped all at once when it changes.

Invariants: no session to a server in recovery, to a lower timeline than was seen before, or to
another cluster is ever handed out; one search runs at a time, whoever needs its result waits for
it; an idle session to anybody but the present primary is closed.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import psycopg

from replication.credentials import Credentials
from replication.members import Ask, Member, find_primary
from replication.wire import NotPrimary, Session, connect


class Router:
    """Hands out sessions to whoever is the primary."""

    def __init__(
        self,
        members: Sequence[Member],
        credentials: Credentials,
        ask: Ask,
    ) -> None:
        self._members = tuple(members)
        self._credentials = credentials
        self._ask = ask
        self._search = anyio.Lock()
        self._primary: Member | None = None
        self._suspects: set[str] = set()
        self._timeline_min = 0
        self._system_identifier: int | None = None
        self._idle: list[Session] = []

    @property
    def primary(self) -> str | None:
        """The name of the member believed to be the primary."""
        return None if self._primary is None else self._primary.name

    async def borrow(self) -> Session:
        """A clean session to the primary, waiting without limit until there is one.

        Raises:
            psycopg.Error: the member that should be the primary does not take us. It is a suspect
                from then on; the next call searches again.
        """
        while self._idle:
            session = self._idle.pop()
            if self._is_current(session) and session.is_clean:
                return session
            await session.close()
        async with self._search:
            if self._primary is None:
                self._primary = await self.search()
            member = self._primary
        try:
            session = await connect(member.address, self._credentials)
            await self._accept(session)
        except psycopg.Error:
            self._suspects.add(member.name)
            await self.forget(member.name)
            raise
        return session

    async def give_back(self, session: Session) -> None:
        """Keep ``session`` for the next who asks, if it is still good."""
        if session.is_clean and self._is_current(session):
            self._idle.append(session)
        else:
            await session.close()

    async def search(self, *, suspects: frozenset[str] = frozenset()) -> Member:
        """Ask all members until one is the primary; no limit but the caller's."""
        return await find_primary(
            self._members,
            self._ask,
            suspects=self._suspects | suspects,
            timeline_min=self._timeline_min,
        )

    async def forget(self, node: str) -> None:
        """``node`` is not the primary any more, or cannot be reached: drop all sessions to it."""
        if self._primary is not None and self._primary.name == node:
            self._primary = None
        stale = [session for session in self._idle if session.node == node]
        self._idle = [session for session in self._idle if session.node != node]
        for session in stale:
            await session.close()

    async def aclose(self) -> None:
        """Close every idle session."""
        while self._idle:
            await self._idle.pop().close()

    def _is_current(self, session: Session) -> bool:
        return session.node == self.primary and session.timeline >= self._timeline_min

    async def _accept(self, session: Session) -> None:
        """Take note of a new session's timeline and cluster, or close it.

        Raises:
            NotPrimary: it is in recovery, behind the times, or of another cluster.
        """
        known = self._system_identifier
        reason: str | None = None
        if session.in_recovery:
            reason = "is in recovery"
        elif known is not None and session.system_identifier != known:
            reason = "belongs to another cluster (its system identifier differs)"
        elif session.timeline < self._timeline_min:
            reason = f"is on timeline {session.timeline}, {self._timeline_min} was seen before"
        if reason is not None:
            await session.close()
            raise NotPrimary(f"{session.node} {reason}")
        self._system_identifier = session.system_identifier
        self._timeline_min = session.timeline
        self._suspects.clear()
