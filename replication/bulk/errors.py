"""Errors of bulk loads besides those of ``Storage.run``: nothing of the chunk took effect."""

from __future__ import annotations

from typing import Unpack

from replication.errors import Facts, NotApplied, StorageError


class BulkError(NotApplied):
    """A chunk was not applied; the chunks before it are, and a later run goes on after them.

    Args:
        message: one sentence for people.
        load: the name of the load.
        chunk: its number, from 1; None if the error is not about one chunk.
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
        row: which row of the source it was (a file: which line), from 1; None if unknown.
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
    """The fields of ``error``, for an error that says more."""
    return Facts(
        unit_id=error.unit_id,
        node=error.node,
        sqlstate=error.sqlstate,
        elapsed_s=error.elapsed_s,
        attempts=error.attempts,
    )


def no_facts(load: str) -> Facts:
    """The fields of an error of the source, in which no server was involved."""
    return Facts(unit_id=load, node=None, sqlstate=None, elapsed_s=0.0, attempts=0)
