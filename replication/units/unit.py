"""A unit of work: what its function receives, what it becomes, and its state on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from psycopg import sql
from psycopg.abc import AdaptContext
from psycopg.rows import TupleRow

from replication.failures import AttemptPhase, Failure
from replication.units.durability import CommitPlan
from replication.units.id_row import WalEvidence
from replication.units.token import Token
from replication.wire import AsyncLentConnection, Params, Query, Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a statement gave: its rows, and how many rows it returned or changed."""

    rows: Sequence[TupleRow]
    rowcount: int


class Transaction:
    """What the function of a unit of work receives. Good only until the function returns."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def node(self) -> str:
        """The member that the transaction runs on."""
        return self._session.node

    async def execute(self, query: Query, params: Params | None = None) -> Result:
        """Run one statement; the deadline is that of ``Storage.run``.

        Raises:
            psycopg.Error: let it pass, so that the unit of work can be run again where that helps.
        """
        rows, rowcount = await self._session.execute(query, params)
        return Result(rows=rows, rowcount=rowcount)

    @asynccontextmanager
    async def connection(
        self, context: AdaptContext | None = None
    ) -> AsyncIterator[AsyncLentConnection]:
        """psycopg's connection, in the open transaction, for code that needs one.

        The borrower may not commit or roll back (``psycopg.ProgrammingError``); it may use
        savepoints (``connection.transaction()``). Do not use ``execute`` meanwhile.

        Args:
            context: whose adapters it has; psycopg's own if None.

        Raises:
            psycopg.Error: let it pass, as with ``execute``.
        """
        pgconn = await self._session.for_lending()
        lent = AsyncLentConnection(self._session, pgconn, context=context, in_unit=True)
        try:
            yield lent
        finally:
            lent.detach()

    @property
    def session(self) -> Session:
        """What it runs on; for ``SyncTransaction.connection`` only."""
        return self._session

    async def copy_in(self, statement: sql.SQL | sql.Composed, blocks: Iterable[bytes]) -> int:
        """Run a ``COPY ... FROM STDIN``; ``blocks`` are its data, as the statement's format asks.

        All blocks should be at hand: while the server waits for one it holds the locks of the
        transaction, and nothing ends that wait but the deadline of ``Storage.run``.

        Returns:
            The number of rows that the server counted.

        Raises:
            psycopg.Error: let it pass; ``diag.context`` names the line.
        """
        return await self._session.copy_in(statement, blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied(Generic[T]):
    """A unit of work that took effect exactly once.

    ``node``, ``timeline`` and ``lsn`` are those of the transaction that committed; ``lsn`` was
    read inside it, so it is a lower bound of the commit record's. ``resolved``: the commit was in
    doubt and the id row gave the answer. ``attempt_s`` is when, on the clock that was injected,
    the transaction that committed was begun; ``attempts`` counts all that were begun.
    ``row_attempt`` and ``attempt_key`` are the number and the key in its id row.
    """

    value: T
    unit_id: str
    row_attempt: int
    attempt_key: UUID
    node: str
    timeline: int
    lsn: str
    attempts: int
    attempt_s: float
    elapsed_s: float
    resolved: bool

    @property
    def token(self) -> Token:
        """For a later read that must see this (``Storage.read(after=...)``)."""
        return Token(
            timeline=self.timeline,
            lsn=self.lsn,
            unit_id=self.unit_id,
            attempt=self.row_attempt,
            attempt_key=self.attempt_key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a unit of work, for good, whichever call ran it.

    ``attempt`` is the number in the id row that says so. ``attempt_key`` is the key of the attempt
    that was applied: that of the ``Unknown`` that a call has raised if it was that call's. None if
    the unit was not applied, or was applied by a process of an earlier version.
    """

    unit_id: str
    applied: bool
    attempt: int
    attempt_key: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Generic[T]):
    """A transaction whose COMMIT is being sent: what ``Applied`` will say if it takes effect."""

    value: T
    key: UUID
    node: str
    evidence: WalEvidence
    begun_s: float
    sent_s: float
    """When its COMMIT was."""


@dataclass(slots=True, kw_only=True)
class Unit(Generic[T]):
    """A unit of work on its way: the only state that outlives an attempt."""

    id: str
    fn: Callable[[Transaction], Awaitable[T]]
    plan: CommitPlan
    started_s: float
    repeatable: bool = True
    """Whether ``fn`` may be called again after it was called once."""
    was_called: bool = False
    row_attempt: int = 1
    """The number that the next attempt writes into its id row (``id_row``)."""
    attempts: int = 0
    doubt: Attempt[T] | None = None
    """The attempt whose COMMIT was sent and has no reliable answer."""
    id_taken: bool = False
    """An id row of another call stood in the way: what it says must be asked."""
    has_ended_itself: bool = False
    """There was no transaction any more when COMMIT was sent: its function had ended it."""
    is_acknowledged: bool = False
    """COMMIT was answered, and a quorum has it; only the sites are waited for."""
    missing: tuple[str, ...] = ()
    """The sites that have not confirmed it yet."""
    was_read_only: bool = False
    """The primary was found to take no writes."""
    node: str | None = None
    failure: Failure | None = None

    @property
    def must_ask(self) -> bool:
        """Whether it may have taken effect, by this call or another."""
        return self.doubt is not None or self.id_taken

    @property
    def phase(self) -> AttemptPhase:
        """Where the attempt that runs now is."""
        return AttemptPhase.BODY if self.doubt is None else AttemptPhase.COMMIT

    @property
    def attempt_key(self) -> UUID | None:
        """That of the attempt whose COMMIT was sent, and may have taken effect."""
        return None if self.doubt is None else self.doubt.key

    def next_attempt(self) -> None:
        """The last one is void for certain: the next one may begin, under the next number."""
        self.row_attempt += 1
        self.doubt = None
        self.id_taken = False
        self.is_acknowledged = False
