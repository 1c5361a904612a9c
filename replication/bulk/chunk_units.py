"""The units of work of a load: begin, one a chunk, finish."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from replication.bulk import ledger
from replication.bulk.errors import ChunkRefused, SourceChanged, facts_of, no_facts
from replication.bulk.model import Chunk, Done, Setting, Source
from replication.errors import AlreadyApplied, NotApplied
from replication.storage import Storage
from replication.units import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a load goes: schema and name of the table, and its columns in the source's order."""

    table: tuple[str, str]
    columns: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkUnits:
    """What a load asks of ``Storage.run``. Unit ids are ``bulk:<load>:<chunk>``."""

    storage: Storage
    load: str
    target: Target
    deadline_s: float

    async def begin(self, plan: Mapping[str, Setting]) -> ledger.State:
        """Enter the load, and read what is certainly there of it.

        Raises:
            SourceChanged: it was begun with another plan.
        """

        async def open_load(transaction: Transaction) -> ledger.State:
            return await ledger.open_load(transaction, self.load, plan)

        # An id of its own: it is run to be believed (see ``ledger``), not to be done only once.
        applied = await self.storage.run(
            open_load, unit_id=f"bulk:{self.load}:{uuid.uuid4().hex}", deadline_s=self.deadline_s
        )
        begun = applied.value.plan
        changed = sorted(key for key in {*plan, *begun} if plan.get(key) != begun.get(key))
        if changed:
            words = ", ".join(f"{key} {begun.get(key)!r}, not {plan.get(key)!r}" for key in changed)
            raise self.changed(f"{self.load} was begun with {words}", None)
        return applied.value

    async def apply(self, chunk: Chunk, source: Source) -> tuple[Done, int]:
        """Copy a chunk, exactly once.

        Returns:
            What the ledger has, and how many transactions were begun (0: somebody else's was).

        Raises:
            ChunkRefused: PostgreSQL refused it.
            SourceChanged: another process loaded something else in its place.
        """
        number = chunk.start.number
        statement = copy_statement(self.target, source.copy_options())

        async def copy(transaction: Transaction) -> Done:
            rows = await transaction.copy_in(statement, chunk.blocks)
            return await ledger.enter_chunk(transaction, self.load, chunk, rows)

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

    async def finish(self) -> ledger.Totals:
        """Mark the load as complete; its totals."""

        async def finish_load(transaction: Transaction) -> ledger.Totals:
            return await ledger.finish_load(transaction, self.load)

        applied = await self.storage.run(
            finish_load, unit_id=f"bulk:{self.load}:{uuid.uuid4().hex}", deadline_s=self.deadline_s
        )
        return applied.value

    def changed(self, message: str, chunk: int | None) -> SourceChanged:
        """The error that says so."""
        return SourceChanged(message, load=self.load, chunk=chunk, **no_facts(self.load))

    async def _read(self, number: int) -> Done | None:
        async def read(transaction: Transaction) -> Done | None:
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


def copy_statement(target: Target, options: Mapping[str, Setting]) -> sql.Composed:
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

    The word for "line" is in the language of the server (``lc_messages``).
    """
    match = re.search(rf"^COPY {re.escape(table)}, \D*(\d+)", context or "", re.MULTILINE)
    return None if match is None else int(match[1])
