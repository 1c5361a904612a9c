"""Confirms that the primary still is one, by a commit of its own, for reads within a bound.

A bound of staleness needs an acknowledged commit (``staleness``). A process that writes has one
with each unit of work; one that only reads makes one here, when a read needs it: a message in the
WAL (``pg_logical_emit_message``, some 100 bytes, no table, no right that not everybody has), whose
commit waits for a standby like any other. It does so over a connection of its own, as it may wait
for long: a primary that lost its last standby acknowledges nothing, and its sessions in the pool
are for those who read from it.

One commit serves all who wait for it, and one is under way at most. A read that finds the last one
older than half of its bound has the next one made, and does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import psycopg

from replication.primary.router import Router
from replication.primary.waits import Talks
from replication.units.durability import PROOF
from replication.wire import Session, failure_of

PATIENCE_S = 0.5
"""How long a read waits for a commit, which takes a round trip to a standby and back. It goes on
without the read after that, and serves the next ones."""

PAUSE_S = 0.1
"""After one that failed."""

IDLE_S = 60.0
"""How long the connection is kept while nobody needs it."""

_MESSAGE = (
    "SELECT current_setting('synchronous_standby_names') <> ''"
    " FROM pg_logical_emit_message(true, 'bascule', '')"
)
"""Transactional, so the transaction has a number, and its commit waits; a transaction that writes
nothing waits for nobody (``RecordTransactionCommit`` in ``src/backend/access/transam/xact.c``).
Allowed on a primary that is read-only by default, too."""


class Confirmer:
    """Makes commits when they are asked for.

    Args:
        router: connects to the primary; what is proved is noted in its watch.
        talks: conversations with the primary.
        clock: monotonic seconds, that of the watch.
    """

    def __init__(self, router: Router, talks: Talks, clock: Callable[[], float]) -> None:
        self._router = router
        self._talks = talks
        self._clock = clock
        self._wanted = anyio.Event()
        self._ended = anyio.Event()
        """Of the one that is under way, or comes next."""
        self._session: Session | None = None
        self.trouble: str | None = None
        """Why the last one failed, for people; None: it did not."""

    @property
    def age_s(self) -> float | None:
        """Seconds since the last commit was sent that was acknowledged on the newest timeline, this
        process's units included; None: none was. Those of an earlier one say nothing of it."""
        watch = self._router.watch
        sent_s = watch.proven.get(watch.timeline_min)
        return None if sent_s is None else self._clock() - sent_s

    def ask(self) -> None:
        """Have one made; do not wait for it."""
        self._wanted.set()

    async def wait(self) -> None:
        """Have one made, and wait for the one under way until it has ended, but not for long."""
        if self._router.primary is not None:
            self.ask()
            with anyio.move_on_after(PATIENCE_S):
                await self._ended.wait()

    async def run(self) -> None:
        """Make what is asked for, until cancelled."""
        try:
            while True:
                with anyio.move_on_after(IDLE_S):
                    await self._wanted.wait()
                if not self._wanted.is_set():
                    self._drop()
                    await self._wanted.wait()
                await self._confirm()
        finally:
            self._drop()

    async def _confirm(self) -> None:
        try:
            await self._commit()
            self.trouble = None
        except Exception as error:  # a password file that is gone, too: reads say so
            self.trouble = " ".join(str(error).split())
            self._drop()
        self._wanted = anyio.Event()
        ended, self._ended = self._ended, anyio.Event()
        ended.set()
        if self.trouble is not None:
            await anyio.sleep(PAUSE_S)

    async def _commit(self) -> None:
        """One commit on the primary.

        Raises:
            Exception: it was not acknowledged.
        """
        session = self._session
        if session is None or not self._router.is_current(session):
            self._drop()
            session = self._session = await self._router.connect()
        try:
            with self._talks.with_node(session.node):
                session.begin()
                (row,), _ = await session.execute(_MESSAGE, None)
                sent_s = self._clock()
                after = await session.commit(PROOF)
        except psycopg.Error as error:
            self._router.note_failure(session, failure_of(error, session))
            raise
        # Switched on or off meanwhile: nobody knows whether this commit has waited.
        if after is not None and row[0] == after[0]:
            self._router.watch.prove(session.timeline, sent_s)

    def _drop(self) -> None:
        if self._session is not None:
            self._session.abandon()
            self._session = None
