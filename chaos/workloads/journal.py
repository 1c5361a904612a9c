"""The operations of one load process: what is open, how they ended, each with its lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from chaos.evidence.records import Scalar
from chaos.workloads.history import (
    HistoryFile,
    end_line,
    failed_line,
    invoke_line,
    ok_line,
    resolved_line,
    stopped_line,
)
from replication import AlreadyApplied, Applied, NotApplied, StorageError


class Journal:
    """Begins and ends operations in a history; nothing ends without its line."""

    def __init__(self, history: HistoryFile) -> None:
        self._history = history
        self._open: dict[str, None] = {}
        self._ended: Counter[str] = Counter()
        self._begun = 0

    @property
    def open(self) -> int:
        """How many operations wait for their end."""
        return len(self._open)

    def begin(
        self,
        unit_id: str,
        *,
        worker: int,
        leaves_entry: bool = True,
        work: Mapping[str, Scalar] | None = None,
    ) -> None:
        """An operation begins now."""
        self._begun += 1
        self._open[unit_id] = None
        self._history.write(
            invoke_line(
                unit_id,
                worker=worker,
                t_s=time.monotonic(),
                leaves_entry=leaves_entry,
                work=work or {},
            )
        )

    def applied(
        self, unit_id: str, applied: Applied[Any], result: Mapping[str, Scalar] | None = None
    ) -> None:
        """It took effect."""
        self._history.write(ok_line(unit_id, applied, t_s=time.monotonic(), result=result or {}))
        self._end(unit_id, "ok")

    def resolved(self, unit_id: str, error: AlreadyApplied) -> None:
        """It took effect in an earlier call, of which nobody knew whether it did."""
        self._history.write(resolved_line(unit_id, error, t_s=time.monotonic()))
        self._end(unit_id, "ok")

    def failed(self, unit_id: str, error: StorageError) -> None:
        """It did not, or nobody knows: the type of the error says which."""
        outcome = "fail" if isinstance(error, NotApplied) else "info"
        self._history.write(failed_line(unit_id, error, outcome=outcome, t_s=time.monotonic()))
        self._end(unit_id, outcome)

    def take_ended(self) -> Counter[str]:
        """How many operations ended in which way since the last call."""
        ended, self._ended = self._ended, Counter()
        return ended

    def close(self) -> None:
        """The load was stopped: what is open is not known, and the history is complete."""
        for unit_id in self._open:
            self._history.write(stopped_line(unit_id, t_s=time.monotonic()))
        self._history.write(end_line(t_s=time.monotonic(), operations=self._begun))

    def _end(self, unit_id: str, outcome: str) -> None:
        del self._open[unit_id]
        self._ended[outcome] += 1
