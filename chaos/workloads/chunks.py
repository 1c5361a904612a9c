"""A history of the chunks of a bulk load, for the workloads that run one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from chaos.evidence.records import Scalar
from chaos.workloads.base import SiteLoad
from replication import AlreadyApplied, Applied, Isolation, Transaction
from replication.bulk.model import Loaded

T = TypeVar("T")

_FIRST_CHUNK = 1
"""The loader counts its chunks from 1 on, the operations of a worker count from 0."""


class ChunksHeard:
    """The storage layer as the loader sees it, and a history of the chunks that pass through.

    A progress report says that a chunk is there, but not since when it was tried, nor on which
    node and timeline it was written, without which no second primary could be seen. The units of
    the loader are told apart by their ids: ``bulk:<load>:<number>`` is a chunk, with anything but a
    number it only reads or writes the ledger of the load.

    Args:
        load: whose storage and journal.
        name: of the bulk load; a chunk's operation is ``<name>-<n>``, n from 0. One that the loader
            sends once more after it was acknowledged, because a restore has set the database back,
            is another operation: ``<name>-<n>-again-<times>``, and its work says ``again``.
        worker: who runs it.
        about: from n to what the checkers must know of that chunk.
    """

    def __init__(
        self,
        load: SiteLoad,
        name: str,
        *,
        worker: int,
        about: Callable[[int], Mapping[str, Scalar]],
    ) -> None:
        self._load = load
        self._name = name
        self._worker = worker
        self._about = about
        self._sent: dict[int, int] = {}
        """By chunk, how often it was sent after it had been acknowledged."""
        self._open: dict[int, str] = {}
        """By chunk, the operation that was not acknowledged yet."""
        self._last: Applied[Any] | None = None

    async def run(
        self,
        fn: Callable[[Transaction], Awaitable[T]],
        *,
        unit_id: str,
        deadline_s: float,
        isolation: Isolation | None = None,
    ) -> Applied[T]:
        """``Storage.run``, with its line in the history where it is a chunk."""
        chunk = self._chunk_of(unit_id)
        operation = None if chunk is None else self._begin(chunk)
        try:
            applied = await self._load.storage.run(
                fn,
                unit_id=unit_id,
                deadline_s=deadline_s,
                durability=self._load.config.promise,
                isolation=isolation,
            )
        except AlreadyApplied as error:
            if chunk is not None and operation is not None:
                del self._open[chunk]
                self._load.journal.resolved(operation, attempts=error.attempts)
            raise
        self._last = applied
        if chunk is not None and operation is not None:
            del self._open[chunk]
            self._load.journal.applied(operation, applied)
        return applied

    def operation_of(self, number: int) -> str:
        """The operation of the loader's chunk ``number``, as it was begun last."""
        chunk = number - _FIRST_CHUNK
        again = self._sent.get(chunk, 0)
        return f"{self._name}-{chunk}" + (f"-again-{again}" if again else "")

    def finished(self, loaded: Loaded) -> None:
        """The load came to its end; the unit of work that said so was the last one."""
        operation = f"{self._name}-finish"
        assert self._last is not None
        self._resolve_open(None)
        self._load.journal.begin(
            operation, worker=self._worker, leaves_entry=False, work={"op": "finish"}
        )
        self._load.journal.applied(operation, self._last, {"chunks": loaded.chunks})

    def _chunk_of(self, unit_id: str) -> int | None:
        number = re.fullmatch(rf"bulk:{re.escape(self._name)}:(\d{{1,9}})", unit_id)
        return None if number is None else int(number[1]) - _FIRST_CHUNK

    def _begin(self, chunk: int) -> str:
        """The operation of a chunk; it may be open already, from a run that gave up."""
        if chunk not in self._open:
            self._resolve_open(chunk)
            self._sent[chunk] = self._sent.get(chunk, -1) + 1
            operation = self._open[chunk] = self.operation_of(chunk + _FIRST_CHUNK)
            again = {"again": True} if self._sent[chunk] else {}
            work = {**self._about(chunk), **again}
            self._load.journal.begin(operation, worker=self._worker, work=work)
        return self._open[chunk]

    def _resolve_open(self, before: int | None) -> None:
        """The loader goes on: what was left open before this chunk is there, by the ledger of the
        load; what comes after it will be sent again. None: the load is at its end."""
        for chunk in sorted(self._open):
            if before is None or chunk < before:
                self._load.journal.resolved(self._open.pop(chunk))
