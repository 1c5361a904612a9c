"""The operations of one load process: what is open, how they ended, each with its lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chaos.evidence.history import STOPPED, Closed, End, HistoryFile, Invocation
from chaos.evidence.records import ReadPromise, Scalar
from replication import AlreadyApplied, Applied, NotApplied, Read, StorageError, Token


class Journal:
    """Begins and ends operations in a history; every end has its line.

    Attributes:
        newest: the last unit of work that was acknowledged, and what stands for it: a read can ask
            to see it. None where there is none, or a failover has taken it away.
    """

    newest: tuple[str, Token] | None = None

    def __init__(self, history: HistoryFile) -> None:
        self._history = history
        self._open: dict[str, None] = {}
        self._begun = 0

    def begin(
        self,
        unit_id: str,
        *,
        worker: int,
        leaves_entry: bool = True,
        work: Mapping[str, Scalar] | None = None,
        shared_unit: str | None = None,
    ) -> None:
        """An operation begins now, under its own id or that of a unit that another site shares."""
        self._begun += 1
        self._open[unit_id] = None
        self._history.write(
            Invocation(
                id=unit_id,
                worker=worker,
                t_s=time.monotonic(),
                leaves_entry=leaves_entry,
                work=work or {},
                shared_unit=shared_unit,
            )
        )

    def applied(
        self, unit_id: str, applied: Applied[Any], result: Mapping[str, Scalar] | None = None
    ) -> None:
        """It took effect; ``result`` is what it found out."""
        self._end(
            End(
                id=unit_id,
                outcome="ok",
                t_s=time.monotonic(),
                attempt_s=applied.attempt_s,
                attempts=applied.attempts,
                node=applied.node,
                timeline=applied.timeline,
                lsn=applied.lsn,
                resolved=applied.resolved,
                result=result or {},
            )
        )
        self.newest = unit_id, applied.token

    def resolved(self, unit_id: str, *, attempts: int = 1) -> None:
        """It took effect in an earlier call, whose outcome was unknown.

        On which node, and where in the WAL, is unknown.
        """
        now_s = time.monotonic()
        self._end(
            End(id=unit_id, outcome="ok", t_s=now_s, attempts=max(1, attempts), resolved=True)
        )

    def already(self, unit_id: str, error: AlreadyApplied) -> None:
        """It did not: another caller had applied its unit of work."""
        self._end(
            End(
                id=unit_id,
                outcome="already",
                t_s=time.monotonic(),
                attempts=max(1, error.attempts),
                node=error.node,
            )
        )

    def failed(self, unit_id: str, error: StorageError) -> None:
        """It did not, or its outcome is unknown: the type of the error says which."""
        self._end(
            End(
                id=unit_id,
                outcome="fail" if isinstance(error, NotApplied) else "info",
                t_s=time.monotonic(),
                attempts=error.attempts,
                error=f"{type(error).__name__}: {error}",
                node=error.node,
                sqlstate=error.sqlstate,
            )
        )

    def begin_read(
        self, id_: str, *, worker: int, after: str | None, work: Mapping[str, Scalar]
    ) -> None:
        """A read on the nearest member begins now; ``after``: the operation that it must see."""
        self._begun += 1
        self._open[id_] = None
        self._history.write(
            Invocation(
                id=id_,
                worker=worker,
                t_s=time.monotonic(),
                leaves_entry=False,
                work=work,
                asks=_promise(after),
                after=after,
            )
        )

    def answered(
        self, id_: str, read: Read[Any], *, after: str | None, result: Mapping[str, Scalar]
    ) -> None:
        """A read was served, with ``result``."""
        self._end(
            End(
                id=id_,
                outcome="ok",
                t_s=time.monotonic(),
                node=read.node,
                source=read.source,
                asks=_promise(after),
                result=result,
            )
        )

    def not_answered(self, id_: str, error: StorageError, *, after: str | None) -> None:
        """A read was not served: it saw nothing."""
        self._end(
            End(
                id=id_,
                outcome="fail",
                t_s=time.monotonic(),
                node=error.node,
                error=f"{type(error).__name__}: {error}",
                asks=_promise(after),
            )
        )

    def close(self) -> None:
        """The load was stopped: what is open is not known, and the history is complete."""
        for unit_id in list(self._open):
            now_s = time.monotonic()
            self._end(End(id=unit_id, outcome="info", t_s=now_s, stopped=True, error=STOPPED))
        self._history.write(Closed(t_s=time.monotonic(), operations=self._begun))

    def _end(self, end: End) -> None:
        self._history.write(end)
        del self._open[end.id]


def _promise(after: str | None) -> ReadPromise:
    return "any" if after is None else "after"
