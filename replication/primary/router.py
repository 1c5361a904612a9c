"""Sessions to the present primary; those to replicas are ``replicas``.

Invariants: no session to a server in recovery, to a lower timeline than was seen before, or to
another cluster is ever handed out for writing; when the primary is lost, all sessions to it are
dropped at once; when another one is found, every wait for the old one, a connect too, is
interrupted.

A connect that fails says nothing about the existing sessions: a server may refuse new ones and
serve all that it has. So the member is doubted, which makes the others be asked, and is lost only
when another member is the primary, or when its own server said that it is not (``NotPrimary``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import anyio
import psycopg
from anyio.abc import TaskGroup, TaskStatus

from replication.access.credentials import Credentials
from replication.errors import Facts, NotAdmitted, NotOpen, StartRefused
from replication.failures import Failure, is_lost
from replication.observability.events import Observers, PrimaryFound, PrimaryLost
from replication.patroni.members import Member
from replication.primary import read_only
from replication.primary.door import Door
from replication.primary.pool import Opener, Pool
from replication.primary.read_only import Why
from replication.primary.waits import Superseded, Talks
from replication.primary.watch import Watch
from replication.reads.replicas import Replicas
from replication.wire import Meaning, NotPrimary, Refused, Session, connect, failure_of

LINGER_S = 1.0
"""How long a failed connect to the primary is kept from waiting callers, while others have
sessions: units of work take milliseconds, so one of them will be given back."""

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
        connect_deadline_s: for one session to be made.
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
        connect_deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watch = watch
        self._credentials = credentials
        self._talks = talks
        self._observers = observers
        self._clock = clock
        self._connect_deadline_s = connect_deadline_s
        self._openers: TaskGroup | None = None
        self._pool_of = partial(Pool, spawn=self._spawn, observers=observers, clock=clock)
        self._primary_pool = self._pool_of(size, linger_s=LINGER_S)
        self._primary_door = Door(clock=clock)
        self.replicas = Replicas(
            watch,
            self._connect_to_replica,
            partial(self._pool_of, replica_size),
            clock=clock,
        )
        self._system_identifier: int | None = None
        self._last_primary: str | None = None
        self._is_announced = False
        self._lost_s = clock()
        self._losses = 0
        self._read_only: tuple[str, float] | None = None
        """The member that was last found to take no writes, and when."""
        watch.listen(self)

    @property
    def primary(self) -> str | None:
        """The name of the member believed to be the primary."""
        return None if self.watch.primary is None else self.watch.primary.name

    @property
    def pool(self) -> Pool:
        """The one to the primary."""
        return self._primary_pool

    @property
    def trouble(self) -> psycopg.Error | None:
        """Why the last connect to the primary failed; None since one succeeded, or while all
        sessions are in use, so that no caller waits for a connect."""
        return None if self._primary_pool.is_exhausted else self._primary_door.trouble

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Open sessions for waiting callers, until cancelled."""
        try:
            async with anyio.create_task_group() as self._openers:
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._openers = None

    async def borrow(self, *, to_write: bool = True) -> Session:
        """A clean session to the primary, waiting without limit until there is one.

        Args:
            to_write: while the primary is known to take no writes, no login is made for that.

        Raises:
            read_only.TakesNoWrites: so it was a moment ago.
            psycopg.Error: the member that should be the primary does not take us, and no session
                was given back meanwhile. The next call tries again, or searches.
            NotOpen: ``run`` does not run.
        """
        # Asked before the pool is: what opens a session there serves all who wait, readers too.
        if to_write and not self._primary_pool.idle:
            self._require_writes_taken()
        return await self._primary_pool.borrow(self.connect)

    async def connect_to_write(self) -> Session:
        """``connect``, for a session that is to write; raises like ``borrow``."""
        self._require_writes_taken()
        return await self.connect()

    def is_current(self, session: Session) -> bool:
        """``session`` is one to the present primary, and clean."""
        is_there = session.node == self.primary and session.losses == self._losses
        return is_there and session.is_clean

    def _require_writes_taken(self) -> None:
        """Raise if the primary is known to take no writes.

        Raises:
            read_only.TakesNoWrites: so it was a moment ago.
        """
        if self._read_only is not None:
            node, seen_s = self._read_only
            if node == self.primary and self._clock() - seen_s < read_only.LOOK_INTERVAL_S:
                raise read_only.TakesNoWrites(node)

    async def connect(self) -> Session:
        """A new session to the primary, beside the pool; waits and raises like ``borrow``."""
        while True:
            member = await self.watch.wait_primary()
            try:
                return await self._primary_door.through(partial(self._connect, member))
            except Superseded:
                continue

    async def _connect(self, member: Member) -> Session:
        """A session to ``member``, as the primary.

        Raises:
            Superseded: it is not that any more.
            psycopg.Error: it does not take us, or says itself that it is not the primary.
        """
        if self.watch.primary is not member:  # since this connect had to wait for others
            raise Superseded(f"{member.name} is not the primary any more")
        try:
            with self._talks.with_node(member.name):
                session = await self._connect_to(member)
            if session.in_recovery:
                await self._wait_promotion(session)
            if self.watch.primary is member:
                self._accept(session)
        except psycopg.Error as error:
            if self.watch.primary is not member:
                raise Superseded(f"{member.name} is not the primary any more") from error
            self._note_failed_connect(member, error)
            raise
        if self.watch.primary is not member:  # it was lost while it was being connected to
            session.abandon()
            raise Superseded(f"{member.name} is not the primary any more")
        return session

    def _note_failed_connect(self, member: Member, error: psycopg.Error) -> None:
        """Take note of what a failed connect says about ``member``."""
        if isinstance(error, NotPrimary):
            self.watch.lose(member.name, str(error), suspect=True)
        elif not isinstance(error, Refused) or error.meaning is Meaning.NOT_READY:
            self.watch.doubt(member.name)
        # Else it is there, and is full or does not want us: the primary all the same.

    async def _connect_to(self, member: Member) -> Session:
        return await connect(member.address, self._credentials, deadline_s=self._connect_deadline_s)

    async def _connect_to_replica(self, member: Member) -> Session:
        session = await self._connect_to(member)
        known = self._system_identifier
        if known is not None and session.system_identifier != known:
            session.abandon()
            raise NotPrimary(f"{session.node} belongs to another cluster")
        return session

    def _spawn(self, opener: Opener) -> None:
        if self._openers is None:
            facts = Facts(unit_id=None, node=None, sqlstate=None, elapsed_s=0.0, attempts=0)
            raise NotOpen("the storage was not opened, or was closed", **facts)
        self._openers.start_soon(opener)

    def give_back(self, session: Session) -> None:
        """Take back a session to the primary."""
        self._primary_pool.give_back(session)

    def note_failure(self, session: Session, failure: Failure) -> None:
        """Take note of what ``failure`` on ``session`` says about the primary.

        If it says that the primary is lost (``failures.is_lost``), all sessions to it are dropped,
        and it is searched for again. Nothing else drops the primary's sessions for a failure. A
        session that was made before the last loss says nothing about the present primary.
        """
        if session.losses == self._losses and is_lost(failure):
            suspect = failure.sqlstate == NotPrimary.sqlstate
            self.watch.lose(session.node, failure.message.strip(), suspect=suspect)

    def _note_read_only(self, node: str | None) -> None:
        """``node``, the primary, takes no writes (None: it does): then new sessions are paced."""
        self._read_only = None if node is None else (node, self._clock())
        self._primary_door.pace(None if node is None else read_only.LOOK_INTERVAL_S)

    async def require_writable(self, session: Session) -> None:
        """Ask ``session``, which is in no transaction, why it takes no writes, and if it does.

        Raises:
            read_only.TakesNoWrites: the primary is read-only by default.
            read_only.Replaced: only the session was. It is closed.
            psycopg.Error: it is not the primary, or does not answer.
        """
        try:
            why = await read_only.ask(session)
            if why is Why.RECOVERY:
                raise NotPrimary(f"{session.node} is in recovery")
        except psycopg.Error as error:
            self.note_failure(session, failure_of(error, session))
            session.abandon()
            raise
        self._note_read_only(session.node if why is Why.SETTING else None)
        if why is Why.SETTING:
            raise read_only.TakesNoWrites(session.node)
        if why is Why.SESSION:
            session.abandon()
            raise read_only.Replaced(f"a session to {session.node} was read-only by default")

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``."""
        self._losses += 1
        self._read_only = None
        self._primary_pool.drop()
        self._primary_door.reset()
        if self._is_announced:
            self._is_announced = False
            self._lost_s = self._clock()
        self._observers.tell(PrimaryLost(node=node, reason=reason))

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``."""
        self._primary_door.reset()
        self._talks.interrupt_all_but(node)

    def close(self) -> None:
        """Close every idle session."""
        self._primary_pool.drop()
        self.replicas.close()

    async def _wait_promotion(self, session: Session) -> None:
        """Wait while its server is being promoted, and its Patroni still says so.

        To call it a suspect at once would mean to ask every other member first, and the lost host
        answers no question before its deadline: that cost the first write 1.6 s.

        Raises:
            psycopg.Error: it was lost meanwhile, or another member is the primary.
        """
        try:
            with anyio.move_on_after(PROMOTION_S), self._talks.with_node(session.node):
                while session.in_recovery and self.primary == session.node:
                    await anyio.sleep(PROMOTION_LOOK_S)
                    await session.look()
        except BaseException:
            session.abandon()
            raise

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
        session.losses = self._losses
        self._note_read_only(session.node if session.is_read_only else None)
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


def not_admitted(refused: Refused, words: str, facts: Facts) -> NotAdmitted:
    """The error for the caller of what was refused for good: ``words``, and the server's."""
    is_start = refused.meaning is Meaning.START_REFUSED
    kind = StartRefused if is_start else NotAdmitted
    return kind(f"{words}: {refused}", **facts)
