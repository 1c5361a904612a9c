"""The lines of ``history-<site>.jsonl`` (docs/run-folder.md), and the file that they go to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.evidence.read_history import STOPPED
from chaos.evidence.records import Scalar
from replication.errors import AlreadyApplied, StorageError
from replication.units import Applied

Line = dict[str, Scalar | Mapping[str, Scalar]]
"""One line of a ``.jsonl`` file."""


def invoke_line(
    unit_id: str,
    *,
    worker: int,
    t_s: float,
    leaves_entry: bool = True,
    work: Mapping[str, Scalar] | None = None,
) -> Line:
    """An operation begins; ``work`` is what its workload says of it."""
    line: Line = {"type": "invoke", "id": unit_id, "worker": worker, "t_s": t_s}
    if not leaves_entry:
        line["entry"] = False
    if work:
        line["work"] = work
    return line


def ok_line(
    unit_id: str,
    applied: Applied[Any],
    *,
    t_s: float,
    result: Mapping[str, Scalar] | None = None,
) -> Line:
    """It took effect: the storage layer said so; ``result`` is what it found out."""
    line: Line = {
        "type": "ok",
        "id": unit_id,
        "t_s": t_s,
        "attempt_s": applied.attempt_s,
        "attempts": applied.attempts,
        "node": applied.node,
        "timeline": applied.timeline,
        "lsn": applied.lsn,
        "resolved": applied.resolved,
    }
    if result:
        line["result"] = result
    return line


def failed_line(unit_id: str, error: StorageError, *, outcome: str, t_s: float) -> Line:
    """It ended in an error: ``outcome`` is ``fail`` (certainly not applied) or ``info``."""
    line: Line = {
        "type": outcome,
        "id": unit_id,
        "t_s": t_s,
        "attempts": error.attempts,
        "error": f"{type(error).__name__}: {error}",
    }
    if error.node is not None:
        line["node"] = error.node
    if error.sqlstate is not None:
        line["sqlstate"] = error.sqlstate
    return line


def resolved_line(unit_id: str, error: AlreadyApplied, *, t_s: float) -> Line:
    """An earlier call had taken effect, and left open whether it did: now it is certain.

    On which node, and where in the WAL, nobody can say any more.
    """
    return {
        "type": "ok",
        "id": unit_id,
        "t_s": t_s,
        "attempts": max(1, error.attempts),
        "resolved": True,
    }


def stopped_line(unit_id: str, *, t_s: float) -> Line:
    """It was still open when the load was stopped: nobody knows how it ended."""
    return {"type": "info", "id": unit_id, "t_s": t_s, "stopped": True, "error": STOPPED}


def stall_line(*, t_s: float, stall_s: float) -> Line:
    """The event loop did not run for ``stall_s``, up to ``t_s``."""
    return {"type": "stall", "t_s": t_s, "stall_s": stall_s}


def end_line(*, t_s: float, operations: int) -> Line:
    """The history is complete."""
    return {"type": "end", "t_s": t_s, "operations": operations}


class HistoryFile:
    """Appends lines; each is with the operating system before ``write`` returns.

    So the death of the process loses no line, and cuts none but the last. Not synced to disk: the
    history must survive the process, not the machine.
    """

    def __init__(self, path: Path, *, encode: Callable[[Line], str] = json.dumps) -> None:
        self._encode = encode
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def write(self, line: Line) -> None:
        """Append one line.

        Raises:
            OSError: the disk is full, say; an operation must not be called ok without its line.
        """
        data = f"{self._encode(line)}\n".encode()
        while data:
            data = data[os.write(self._fd, data) :]
