"""The run folder (docs/run-folder.md): read whole to a ``Run``, and its small writers.

Reading is tolerant where evidence may be cut short by a kill (that goes to ``Run.damage``, and the
checkers say UNKNOWN) and strict where nothing could be said without it (``run.json``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from chaos.errors import DamagedRunError, FormatError, NotARunFolderError
from chaos.evidence.decode import decode, encode
from chaos.evidence.read_events import read_events
from chaos.evidence.read_final import read_final
from chaos.evidence.read_history import read_history
from chaos.evidence.records import Event, FinalRead, Scalar
from chaos.evidence.run import Run, RunInfo

if TYPE_CHECKING:  # the director writes evidence, and has no use for all the checkers
    from chaos.evidence.verdict_file import VerdictFile

FORMAT_VERSION = 2
"""Of ``run.json`` and the files beside it, as they are written. 2: the scenario has a workload and
may leave the durability to the topology, events have numbers, final reads may have state."""

READABLE_VERSIONS = (1, 2)
"""What is missing in format 1 has a default that says what was so then."""

RUN_JSON = "run.json"
EVENTS = "events.jsonl"
VERDICT = "verdict.json"


def read_run(folder: Path) -> Run:
    """All the evidence of a run folder.

    Args:
        folder: The run folder.

    Raises:
        NotARunFolderError: it does not exist, or it has no ``run.json``.
        DamagedRunError: ``run.json`` cannot be understood; with the key.
    """
    info = read_run_json(folder)
    damage: list[str] = []
    events = read_events(folder / EVENTS, damage)
    histories = tuple(
        read_history(path, _middle(path, "history-"), damage)
        for path in sorted(folder.glob("history-*.jsonl"))
    )
    reads: list[FinalRead] = []
    for path in sorted(folder.glob("final-*.jsonl")):
        read = read_final(path, _middle(path, "final-"), damage)
        if read is not None:
            reads.append(read)
    return Run(
        info=info,
        events=events,
        histories=histories,
        final_reads=tuple(reads),
        damage=tuple(damage),
    )


def read_run_json(folder: Path) -> RunInfo:
    """What was asked. Raises like ``read_run``."""
    path = folder / RUN_JSON
    if not path.is_file():
        raise NotARunFolderError(f"{folder} is no run folder: it has no {RUN_JSON}", folder=folder)
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedRunError(str(error), folder=folder, file=RUN_JSON, key="") from error
    if not isinstance(value, dict):
        raise DamagedRunError("expected an object", folder=folder, file=RUN_JSON, key="")
    version = value.pop("format_version", None)
    if version not in READABLE_VERSIONS:
        known = " and ".join(map(str, READABLE_VERSIONS))
        raise DamagedRunError(
            f"this version reads the formats {known}, found {version}",
            folder=folder,
            file=RUN_JSON,
            key="format_version",
        )
    try:
        return decode(RunInfo, value)
    except FormatError as error:
        raise DamagedRunError(error.reason, folder=folder, file=RUN_JSON, key=error.key) from error


def write_run_json(folder: Path, info: RunInfo) -> None:
    """Writes ``run.json`` into ``folder``, whole or not at all."""
    encoded = encode(info)
    assert isinstance(encoded, dict)  # a dataclass always encodes as one
    _write_json(folder / RUN_JSON, {"format_version": FORMAT_VERSION, **encoded})


def write_verdict(folder: Path, verdict: VerdictFile) -> None:
    """Writes ``verdict.json`` into ``folder``, whole or not at all."""
    _write_json(folder / VERDICT, verdict.to_json())


def write_whole(path: Path, text: str) -> None:
    """Through a file beside it and a rename, so that a reader never sees half of it.

    Raises:
        OSError: it cannot be written; names ``path``.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


class EventLog:
    """Appends events to ``events.jsonl``, flushed line by line: a kill loses at most the last one.

    Each line has a number (``seq``, from 0 on), so that one that was lost later is missed.
    Use it as a context manager, or call ``close``.
    """

    def __init__(self, folder: Path, clock_s: Callable[[], float]) -> None:
        """Opens the log.

        Args:
            folder: The run folder; it must exist.
            clock_s: Gives seconds of CLOCK_MONOTONIC.
        """
        self._clock_s = clock_s
        path = folder / EVENTS
        self._seq = len(path.read_bytes().splitlines()) if path.exists() else 0
        self._file = path.open("a", encoding="utf-8")

    def append(self, kind: str, *, at_s: float | None = None, **fields: Scalar) -> Event:
        """Writes one event and returns it.

        Args:
            kind: One of the kinds of docs/run-folder.md.
            at_s: When it happened, if that is not now.
            fields: The fields of that kind.
        """
        t_s = round(self._clock_s() if at_s is None else at_s, 6)
        event = Event(t_s=t_s, kind=kind, fields=fields)
        line = {"seq": self._seq, "t_s": t_s, "kind": kind, **fields}
        self._seq += 1
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        return event

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _middle(path: Path, prefix: str) -> str:
    """``history-paris.jsonl`` -> ``paris``."""
    return path.name.removeprefix(prefix).removesuffix(".jsonl")


def _write_json(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
