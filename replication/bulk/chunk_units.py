"""The units of work of a load: begin, one a chunk, finish."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from replication.bulk import ledger
from replication.bulk.errors import ChunkRefused, SourceChanged, facts_of, no_facts
from replication.bulk.model import AppliedChunk, Chunk, CopySetting, Source
from replication.errors import AlreadyApplied, NotApplied, NotInstalled
from replication.storage import Storage
from replication.units.id_row import NOT_INSTALLED
from replication.units.unit import Transaction

BesideChunk = Callable[[Transaction, AppliedChunk], Awaitable[None]]
"""Runs in the transaction of a chunk, after its rows; an error of PostgreSQL must pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTarget:
    """Where a load goes: schema and name of the table, and its columns in the source's order."""

    table: tuple[str, str]
    columns: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkUnits:
    """What a load asks of ``Storage.run``. Unit ids are ``bulk:<load>:<chunk>``."""

    storage: Storage
    load: str
    target: CopyTarget
    deadline_s: float
    beside: BesideChunk | None = None

    async def begin(
        self, plan: Mapping[str, CopySetting], *, every_chunk: bool
    ) -> ledger.LoadState:
        """Enter the load, and read what is certainly there of it.

        Args:
            plan: how it is to be loaded.
            every_chunk: whether all chunks are read, or the last one.

        Raises:
            SourceChanged: it was begun with another plan.
            NotInstalled: the tables of bulk loads are not there.
        """

        async def open_load(transaction: Transaction) -> ledger.LoadState:
            return await ledger.open_load(transaction, self.load, plan, every_chunk=every_chunk)

        # A random id: it runs in a unit so that its answer is safe (see ``ledger``), not to run
        # only once.
        try:
            applied = await self.storage.run(
                open_load,
                unit_id=f"bulk:{self.load}:{uuid.uuid4().hex}",
                deadline_s=self.deadline_s,
            )
        except NotApplied as error:
            if type(error) is NotApplied and error.sqlstate in NOT_INSTALLED:
                words = f"{self.load} was not begun: the tables of bulk loads are not there"
                raise NotInstalled(words, **facts_of(error)) from error
            raise
        begun = applied.value.plan
        changed = sorted(key for key in {*plan, *begun} if plan.get(key) != begun.get(key))
        if changed:
            words = ", ".join(f"{key} {begun.get(key)!r}, not {plan.get(key)!r}" for key in changed)
            raise self.changed(f"{self.load} was begun with {words}", None)
        return applied.value

    async def apply(self, chunk: Chunk, source: Source) -> tuple[AppliedChunk, int]:
        """Copy a chunk, exactly once.

        Returns:
            What the ledger has, and how many transactions this call began (0: another process
            loaded it).

        Raises:
            ChunkRefused: PostgreSQL refused it.
            SourceChanged: another process loaded something else in its place, or has finished the
                load without it.
        """
        number = chunk.start.number
        statement = copy_statement(self.target, source.copy_options())

        async def copy(transaction: Transaction) -> AppliedChunk:
            rows = await transaction.copy_in(statement, chunk.blocks)
            done = await ledger.enter_chunk(transaction, self.load, chunk, rows)
            if done is None:
                words = f"{self.load} was finished before chunk {number}: this source is longer"
                raise self.changed(words, number)
            if self.beside is not None:
                await self.beside(transaction, done)
            return done

        try:
            applied = await self.storage.run(
                copy, unit_id=f"bulk:{self.load}:{number}", deadline_s=self.deadline_s
            )
        except AlreadyApplied:
            done = await self._read(number)
            if done is None or not done.is_of(chunk):
                raise self.changed(
                    f"another process loaded chunk {number} of {self.load} from another source",
                    number,
                ) from None
            return done, 0
        except NotApplied as error:
            # Its kinds (DeadlineExceeded, NoPrimary) are about the cluster, not about the chunk.
            if type(error) is not NotApplied:
                raise
            raise self._refusal(chunk, source, error) from error
        return applied.value, applied.attempts

    async def finish(self, last: AppliedChunk | None) -> ledger.Totals:
        """Mark the load as complete; its totals.

        Args:
            last: the last chunk of the source; all up to it are there.

        Raises:
            SourceChanged: another process has loaded more.
        """

        async def finish_load(transaction: Transaction) -> ledger.Totals:
            return await ledger.finish_load(transaction, self.load, last)

        applied = await self.storage.run(
            finish_load,
            unit_id=f"bulk:{self.load}:{uuid.uuid4().hex}",
            deadline_s=self.deadline_s,
            isolation="read committed",
        )
        totals = applied.value
        if not ledger.is_complete(totals, last):
            ends = 0 if last is None else last.start.number
            raise self.changed(
                f"the source of {self.load} ends after chunk {ends}, and {totals.chunks} are there:"
                " another process loads a source that is longer",
                ends or None,
            )
        return totals

    def changed(self, message: str, chunk: int | None) -> SourceChanged:
        """The error for a load that was changed."""
        return SourceChanged(message, load=self.load, chunk=chunk, **no_facts(self.load))

    async def _read(self, number: int) -> AppliedChunk | None:
        async def read(transaction: Transaction) -> AppliedChunk | None:
            return await ledger.read_chunk(transaction, self.load, number)

        applied = await self.storage.run(
            read, unit_id=f"bulk:{self.load}:{uuid.uuid4().hex}", deadline_s=self.deadline_s
        )
        return applied.value

    def _refusal(self, chunk: Chunk, source: Source, error: NotApplied) -> ChunkRefused:
        cause = error.__cause__
        context = cause.diag.context if isinstance(cause, psycopg.Error) else None
        line = parse_line(context, self.target.table[1])
        row = None if line is None else source.row_of(chunk, line)
        where = "" if row is None else f", {source.row_word} {row}"
        said = f"{cause}" if context is None else f"{cause} ({context})"
        return ChunkRefused(
            f"chunk {chunk.start.number} of {self.load}{where} was refused: {said}",
            load=self.load,
            chunk=chunk.start.number,
            row=row,
            context=context,
            **facts_of(error),
        )


def copy_statement(target: CopyTarget, options: Mapping[str, CopySetting]) -> sql.Composed:
    """``COPY schema.table (columns) FROM STDIN (options)``."""
    return sql.SQL("COPY {} ({}) FROM STDIN ({})").format(
        sql.Identifier(*target.table),
        sql.SQL(", ").join(map(sql.Identifier, target.columns)),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in options.items()
        ),
    )


def parse_line(context: str | None, table: str) -> int | None:
    """The line in the CONTEXT of an error in COPY (``COPY patient, line 7, column born: "x"``).

    All words are in the language of the server (``lc_messages``), and in some languages the table
    comes first. In every language words without a digit follow its name, and then the line.
    """
    name = rf"{re.escape(table)}(?=の|[^\w$])\D+(\d+)"  # Japanese goes on without a blank
    found = re.findall(rf"^COPY {name}", context or "", re.MULTILINE)[:1]
    found = found or re.findall(rf"^{name}", context or "", re.MULTILINE)
    return int(found[-1]) if found else None
