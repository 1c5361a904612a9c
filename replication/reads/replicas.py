"""Sessions to replicas, for reads: a pool each, and a question beside it.

A failing replica is not waited for: there are others to try. So its connects are refused at once
while it is known to fail (``Door``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import psycopg

from replication.patroni.members import Member
from replication.primary.door import Door
from replication.primary.pool import Pool
from replication.primary.watch import Watch
from replication.wire import NotPrimary, Session

PROBE_DEADLINE_S = 1.0
"""For one question to a replica on a connection that stands: it is answered from memory."""


class Replicas:
    """Hands out sessions.

    Args:
        watch: knows where the members are.
        connect: opens a session to a member of the cluster.
        make_pool: makes the pool of one replica.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        watch: Watch,
        connect: Callable[[Member], Awaitable[Session]],
        make_pool: Callable[[], Pool],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._watch = watch
        self._connect = connect
        self._make_pool = make_pool
        self._clock = clock
        self._pools: dict[str, Pool] = {}
        """Of every member that was ever read from; that of one that left stays, empty."""
        self._doors: dict[str, Door] = {}

    async def borrow(self, node: str) -> Session:
        """A clean session to ``node``, whatever its role.

        Raises:
            psycopg.Error: it does not take us, belongs to another cluster, or has just left. The
                sessions that are there stay.
        """
        member = self._watch.members.get(node)
        if member is None:
            raise NotPrimary(f"{node} is no member any more")
        if node not in self._pools:
            self._pools[node] = self._make_pool()
            self._doors[node] = Door(is_patient=False, clock=self._clock)
        connect = partial(self._connect, member)
        return await self._pools[node].borrow(partial(self._doors[node].through, connect))

    def give_back(self, session: Session) -> None:
        """Take back a session of ``borrow``."""
        self._pools[session.node].give_back(session)

    def drop(self, node: str) -> None:
        """``node`` is lost, gone, or elsewhere: close the sessions that are kept."""
        if node in self._pools:
            self._pools[node].drop()
            self._doors[node].reset()

    def close(self) -> None:
        """Close every idle session."""
        for pool in self._pools.values():
            pool.drop()

    async def probe(self, node: str) -> float | None:
        """Ask ``node`` over a connection of its own, beside the pool; as ``reachable.Probe``.

        Returns:
            How long an answer took in seconds, the connection not counted; None: no such member.

        Raises:
            psycopg.Error: it does not take us; ``ConnectionTimeout`` when it is silent.
        """
        member = self._watch.members.get(node)
        if member is None:
            return None
        session = await self._connect(member)
        try:
            with anyio.fail_after(PROBE_DEADLINE_S):
                begun_s = self._clock()
                await session.fetch("SELECT 1")
                return self._clock() - begun_s
        except TimeoutError:
            raise psycopg.errors.ConnectionTimeout(
                f"{node} did not answer within {PROBE_DEADLINE_S:g} s"
            ) from None
        finally:
            session.abandon()
