"""What a bulk load raises beside the errors of ``Storage.run``: nothing of a chunk took effect."""

from __future__ import annotations

from typing import Unpack

from replication.errors import Facts, NotApplied, StorageError


class BulkError(NotApplied):
    """A chunk was not applied; the chunks before it are, and a later run goes on after them.

    Args:
        message: one sentence for people.
        load: the name of the load.
        chunk: its number, from 1; None where it is not about one chunk.
    """

    def __init__(
        self, message: str, *, load: str, chunk: int | None, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.load = load
        self.chunk = chunk


class SourceChanged(BulkError):
    """The source, or how it is to be loaded, is not what the ledger says was loaded before."""


class SourceUnreadable(BulkError):
    """The source cannot be cut into records that PostgreSQL would read the same way."""


class ChunkRefused(BulkError):
    """PostgreSQL, or the encoding of a row, refused a chunk.

    Args:
        row: which row of the source it was (a file: which line), from 1; None where nobody said.
        context: PostgreSQL's own words on where it was (``COPY patient, line 7, column born``),
            counted from the beginning of the chunk.
    """

    def __init__(
        self,
        message: str,
        *,
        load: str,
        chunk: int,
        row: int | None,
        context: str | None,
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(message, load=load, chunk=chunk, **facts)
        self.row = row
        self.context = context


def facts_of(error: StorageError) -> Facts:
    """What ``error`` carries, for an error that says more."""
    return Facts(
        unit_id=error.unit_id,
        node=error.node,
        sqlstate=error.sqlstate,
        elapsed_s=error.elapsed_s,
        attempts=error.attempts,
    )


def no_facts(load: str) -> Facts:
    """For an error of the source: no server had a part in it."""
    return Facts(unit_id=load, node=None, sqlstate=None, elapsed_s=0.0, attempts=0)
