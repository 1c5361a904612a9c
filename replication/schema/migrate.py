"""Applies migrations, each once, through failovers and while other processes do the same."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import anyio
import psycopg

from replication.errors import Facts, ReadOnly
from replication.failures import Action, AttemptPhase, Failure, decide
from replication.primary.router import not_admitted
from replication.schema import ledger
from replication.schema.errors import MigrationFailed, MigrationLate, MigrationUnknown
from replication.schema.migration import Migration, as_query
from replication.schema.plan import check_ids, next_of
from replication.storage import Storage
from replication.units.unit import Transaction
from replication.wire import Session, failure_of, final_refusal

DEADLINE_S = 300.0

LOCK_TIMEOUT_S = 1.0
"""How long a statement waits for a lock, and so how long it can delay the sessions that queue
behind it (PostgreSQL manual, ``lock_timeout``). After it the migration is rolled back, and tried
again after a pause at least as long on average."""

BUSY_PAUSE_S = 0.1
"""Between two looks whether another process is still migrating; with jitter."""

AGAIN_PAUSE_S = 0.2
"""The pause after a failure that another try may mend; with jitter."""

_REMEDIES = {
    "25001": "a migration is one transaction. Run this statement by itself before the migration"
    " (CREATE INDEX CONCURRENTLY IF NOT EXISTS ...; check pg_index.indisvalid), and let the"
    " migration rely on it",
    "25006": "while default_transaction_read_only is on, as it is for maintenance, nothing can be"
    " migrated",
    "42501": "the role that migrates must own what it changes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """All migrations are applied. ``applied``: those that this call applied, in order."""

    applied: tuple[str, ...]
    elapsed_s: float


async def migrate(  # noqa: PLR0913 - each has a meaning of its own, and a default
    target: Storage | Session,
    migrations: Sequence[Migration],
    *,
    series: str = "app",
    deadline_s: float = DEADLINE_S,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
) -> Migrated:
    """Apply what is missing of ``migrations``, in order, one transaction each.

    Several processes may call this at once: they take turns, and each is applied once.

    Args:
        target: the cluster; or a session to its primary, which is not replaced when it is lost.
        series: whose migrations they are; ``bascule`` is the package's own.
        deadline_s: for everything together, including waits for other processes and for failovers.
        lock_timeout_s: how long a statement may wait for a lock before it is tried again later.

    Raises:
        MigrationChanged: one was applied with another content, or out of order.
        MigrationFailed: PostgreSQL refused a statement. Those before it are applied.
        MigrationLate: the deadline passed; the one named is not applied.
        MigrationUnknown: the deadline passed while a commit was in doubt.
        ReadOnly: the primary takes no writes. What was applied before stays applied.
        Exception: what a migration's function raised; it was rolled back.
        psycopg.Error: ``target`` is a session, and was lost.
    """
    check_ids(migrations)
    run = _Run(migrations, series, lock_timeout_s, clock)
    with anyio.move_on_after(deadline_s):
        while not run.is_done:
            pause_s = BUSY_PAUSE_S
            try:
                async with _session(target) as session:
                    await run.walk(session)
            except psycopg.Error as error:
                run.raise_if_final(error, can_reroute=isinstance(target, Storage))
                pause_s = max(AGAIN_PAUSE_S, lock_timeout_s)
            except ReadOnly as error:
                run.require_doubt(error)
                pause_s = max(AGAIN_PAUSE_S, lock_timeout_s)
            if not run.is_done:
                await anyio.sleep(pause_s * random.uniform(0.5, 1.5))
        return Migrated(applied=tuple(run.applied), elapsed_s=run.elapsed_s)
    raise run.missed(deadline_s)


@asynccontextmanager
async def _session(target: Storage | Session) -> AsyncIterator[Session]:
    if isinstance(target, Storage):
        async with target.session() as session:
            yield session
        return
    try:
        yield target
    finally:
        await target.rollback()


class _Run:
    """The state of a call, across its transactions."""

    def __init__(
        self,
        migrations: Sequence[Migration],
        series: str,
        lock_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.is_done = False
        self.applied: list[str] = []
        self._migrations = migrations
        self._series = series
        self._lock_timeout = f"{max(1, round(lock_timeout_s * 1000))}ms"
        self._clock = clock
        self._begun_s = clock()
        self._attempts = 0
        self._node: str | None = None
        self._now: Migration | None = None
        self._statement: int | None = None
        self._tried: dict[str, UUID] = {}
        """Ids for which this call sent a COMMIT and has no proof yet, with the last keys."""
        self._doubt: str | None = None
        """An id whose COMMIT was sent and has no reliable answer."""
        self._is_committing = False
        self._applies = True
        """The commit is that of a migration, not only the proof of an earlier one."""
        self._failure: Failure | None = None
        self._error: psycopg.Error | None = None
        """What ``_failure`` was made of, where there was a session."""

    @property
    def elapsed_s(self) -> float:
        """Since the call."""
        return self._clock() - self._begun_s

    async def walk(self, session: Session) -> None:
        """Apply one after the other, until all are applied or another process holds the lock.

        Raises:
            psycopg.Error: for ``raise_if_final``.
        """
        self._node, self._is_committing = session.node, False
        try:
            while await self._step(session):
                pass
        except psycopg.Error as error:
            self._error, self._failure = error, failure_of(error, session)
            raise

    async def _step(self, session: Session) -> bool:
        """One transaction; whether another one should follow at once."""
        if not await ledger.begin_locked(session, lock_timeout=self._lock_timeout):
            await session.rollback()
            return False
        applied = await ledger.read_applied(session, self._series)
        if self._doubt not in applied:
            self._doubt = None  # that attempt has ended (``ledger``), and left nothing
        digests = {id_: entry.digest for id_, entry in applied.items()}
        self._now = next_of(self._migrations, digests)
        if self._doubt is None and self._now is not None:
            await self._apply(session, self._now, number=len(applied) + 1)
            return True
        last = self._doubt or next(reversed(digests), None)
        if last is not None:
            await ledger.acknowledge(session, self._series, last)
        await self._commit(session, last, applies=False)
        if last in self._tried and self._tried.pop(last) == applied[last].attempt_key:
            self.applied.append(last)  # else another process applied it, after ours was lost
        self.is_done = self._now is None
        return not self.is_done

    async def _apply(self, session: Session, migration: Migration, *, number: int) -> None:
        self._statement = None
        self._attempts += 1
        if migration.function is not None:
            await migration.function(Transaction(session))
        for self._statement, statement in enumerate(migration.statements, 1):
            await session.fetch(as_query(statement))
        self._statement = None
        key = self._tried[migration.id] = uuid.uuid4()
        await ledger.enter(
            *(session, self._series, migration.id),
            number=number,
            digest=migration.digest,
            attempt_key=key,
        )
        await self._commit(session, migration.id)
        del self._tried[migration.id]
        self.applied.append(migration.id)

    async def _commit(self, session: Session, id_: str | None, *, applies: bool = True) -> None:
        """Commit. The answer proves that ``id_`` is applied.

        Args:
            applies: ``id_`` is in this transaction; else it was committed before.
        """
        session.require_open()
        self._doubt, self._is_committing, self._applies = id_, True, applies
        await session.commit()
        self._doubt, self._is_committing = None, False

    def raise_if_final(self, error: psycopg.Error, *, can_reroute: bool) -> None:
        """Whether another try makes sense.

        Raises:
            MigrationFailed: it does not.
            psycopg.Error: the session is lost, and there is no other.
        """
        if self._error is not error or self._failure is None:
            self._failure = failure_of(error)  # there was no session
        failure = self._failure
        refused = final_refusal(error)
        if refused is not None and self._doubt is None:
            words = str(not_admitted(refused, f"{self._id} was not applied", self._facts()))
            raise MigrationFailed(words, statement=None, **self._facts()) from error
        action = decide(failure, AttemptPhase.COMMIT if self._is_committing else AttemptPhase.BODY)
        if self._is_committing and not self._applies and action is Action.GIVE_UP:
            action = Action.BACK_OFF  # what it refused is the proof; it is asked for again
        if action is Action.GIVE_UP:
            self._doubt = None
            raise self._failed(failure) from error
        if not can_reroute and action in (Action.REROUTE, Action.IN_DOUBT):
            raise error

    def require_doubt(self, error: ReadOnly) -> None:
        """Whether to wait until writes are taken again.

        Raises:
            ReadOnly: ``error``: no commit is in doubt that could be resolved then.
        """
        if self._doubt is None:
            raise error

    def _failed(self, failure: Failure) -> MigrationFailed:
        where = f"statement {self._statement} of " if self._statement else ""
        remedy = _REMEDIES.get(failure.sqlstate or "")
        return MigrationFailed(
            f"{where}{self._id} was refused: {failure.message}"
            + (f" ({remedy})" if remedy else ""),
            statement=self._statement,
            **self._facts(),
        )

    def missed(self, deadline_s: float) -> MigrationLate | MigrationUnknown:
        """The error for a deadline that has passed."""
        last = f" ({self._failure.message})" if self._failure is not None else ""
        if self._doubt is not None:
            return MigrationUnknown(
                f"nobody knows whether {self._series}/{self._doubt} was applied: its commit was in"
                f" doubt and could not be resolved within {deadline_s} s{last}",
                **self._facts(),
            )
        return MigrationLate(
            f"{self._id} was not applied within {deadline_s} s{last}", **self._facts()
        )

    @property
    def _id(self) -> str:
        return f"{self._series}/{self._now.id}" if self._now else self._series

    def _facts(self) -> Facts:
        return Facts(
            unit_id=self._id,
            node=self._node,
            sqlstate=None if self._failure is None else self._failure.sqlstate,
            elapsed_s=self.elapsed_s,
            attempts=self._attempts,
        )
