"""Sessions to the primary, whoever it is, and to replicas.

Invariants: no session to a server in recovery, to a lower timeline than was seen before, or to
another cluster is ever handed out for writing; when the primary is lost, all sessions to it are
dropped at once; when another one is found, whoever still waits for the old one is interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import psycopg

from replication.credentials import Credentials
from replication.members import Member
from replication.observe import Observers, PrimaryFound, PrimaryLost
from replication.pool import Pool
from replication.talks import Talks
from replication.watch import Watch
from replication.wire import NotPrimary, Session, connect, is_not_admitted

TOO_MANY_CONNECTIONS = "53300"

PROMOTION_S = 2.0
"""How long a member that has the leader key is waited for while it still recovers. Patroni calls it
the primary as soon as it has the key; the server needs 0.05 to 0.2 s more (drills), longer with
much WAL to replay."""

PROMOTION_LOOK_S = 0.01
"""How often it is asked meanwhile: what this may add to the failover."""


class Router:
    """Hands out sessions.

    Args:
        watch: knows who is the primary; running.
        credentials: who connects to what.
        talks: conversations that a change of the primary interrupts.
        observers: told of every primary that is lost and found.
        size: sessions to the primary at once.
        replica_size: sessions to each replica at once.
        clock: monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 (the parts it joins)
        self,
        watch: Watch,
        credentials: Credentials,
        talks: Talks,
        observers: Observers,
        *,
        size: int,
        replica_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watch = watch
        self._credentials = credentials
        self._talks = talks
        self._observers = observers
        self._clock = clock
        self._primary_pool = Pool(size, observers=observers, clock=clock)
        self._read_pools = {
            name: Pool(replica_size, observers=observers, clock=clock) for name in watch.members
        }
        self._system_identifier: int | None = None
        self._last_primary: str | None = None
        self._is_announced = False
        self._lost_s = clock()
        watch.listen(self)

    @property
    def primary(self) -> str | None:
        """The name of the member believed to be the primary."""
        return None if self.watch.primary is None else self.watch.primary.name

    @property
    def pool(self) -> Pool:
        """The one to the primary."""
        return self._primary_pool

    async def borrow(self) -> Session:
        """A clean session to the primary, waiting without limit until there is one.

        Raises:
            psycopg.Error: the member that should be the primary does not take us. It is a suspect
                from then on; the next call searches again.
        """
        return await self._primary_pool.borrow(self.connect)

    async def connect(self) -> Session:
        """A new session to the primary, beside the pool; waits and raises like ``borrow``."""
        member = await self.watch.wait_primary()
        try:
            session = await connect(member.address, self._credentials)
            if session.in_recovery:
                await self._wait_promotion(session)
            if self.watch.primary is member:
                self._accept(session)
        except psycopg.Error as error:
            # One that is full, or that does not want us, is the primary all the same.
            if error.sqlstate != TOO_MANY_CONNECTIONS and not is_not_admitted(error.sqlstate):
                self.watch.lose(member.name, str(error), suspect=True)
            raise
        if self.watch.primary is not member:  # it was lost while it was being connected to
            session.abandon()
            raise NotPrimary(f"{member.name} is not the primary any more")
        return session

    def give_back(self, session: Session) -> None:
        """Take back a session to the primary."""
        self._primary_pool.give_back(session)

    def lost(self, session: Session, reason: str) -> None:
        """``session`` to the primary is of no use, and so are all others to its server.

        A session that was made before the last loss says nothing about the present primary.
        """
        if self._primary_pool.is_current(session):
            self.watch.lose(session.node, reason)

    async def borrow_replica(self, node: str) -> Session:
        """A clean session to ``node`` for reading, whatever its role.

        Raises:
            psycopg.Error: it does not take us, or belongs to another cluster.
        """
        member = self.watch.members[node]
        return await self._read_pools[node].borrow(lambda: self._connect_replica(member))

    def give_back_replica(self, session: Session) -> None:
        """Take back a session of ``borrow_replica``."""
        self._read_pools[session.node].give_back(session)

    def drop_replica(self, node: str) -> None:
        """A session to ``node`` was lost: those that are kept are of no use either."""
        self._read_pools[node].drop()

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``."""
        self._primary_pool.drop()
        if self._is_announced:
            self._is_announced = False
            self._lost_s = self._clock()
        self._observers.tell(PrimaryLost(node=node, reason=reason))

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``."""
        self._talks.interrupt_all_but(node)

    def close(self) -> None:
        """Close every idle session."""
        self._primary_pool.drop()
        for pool in self._read_pools.values():
            pool.drop()

    async def _wait_promotion(self, session: Session) -> None:
        """Wait while its server is being promoted, and its Patroni still says so.

        To call it a suspect at once would mean to ask everybody else first, and the host that was
        lost answers no question before its deadline: that cost the first write 1.6 s.

        Raises:
            psycopg.Error: it was lost meanwhile, or somebody else is the primary.
        """
        try:
            with anyio.move_on_after(PROMOTION_S), self._talks.with_node(session.node):
                while session.in_recovery and self.primary == session.node:
                    await anyio.sleep(PROMOTION_LOOK_S)
                    await session.look()
        except BaseException:
            session.abandon()
            raise

    async def _connect_replica(self, member: Member) -> Session:
        session = await connect(member.address, self._credentials)
        known = self._system_identifier
        if known is not None and session.system_identifier != known:
            session.abandon()
            raise NotPrimary(f"{session.node} belongs to another cluster")
        return session

    def _accept(self, session: Session) -> None:
        """Take note of a new session's timeline and cluster, or close it.

        Raises:
            NotPrimary: it is in recovery, behind the times, or of another cluster.
        """
        known, timeline_min = self._system_identifier, self.watch.timeline_min
        reason: str | None = None
        if session.in_recovery:
            reason = "is in recovery"
        elif known is not None and session.system_identifier != known:
            self.watch.exclude(session.node)
            reason = "belongs to another cluster (its system identifier differs)"
        elif session.timeline < timeline_min:
            reason = f"is on timeline {session.timeline}, {timeline_min} was seen before"
        if reason is not None:
            session.abandon()
            raise NotPrimary(f"{session.node} {reason}")
        self._system_identifier = session.system_identifier
        self.watch.accept(session.node, session.timeline)
        self._announce(session)

    def _announce(self, session: Session) -> None:
        """The first session to a primary since the last one was lost."""
        if self._is_announced:
            return
        self._is_announced = True
        previous, self._last_primary = self._last_primary, session.node
        self._observers.tell(
            PrimaryFound(
                node=session.node,
                timeline=session.timeline,
                previous=previous,
                search_s=self._clock() - self._lost_s,
            )
        )
