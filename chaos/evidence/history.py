"""The lines of ``history-<site>.jsonl``, written and read here (docs/reference/run-folder.md).

The load process writes them (``HistoryFile``), the display of a running drill follows them
(``HistoryTail``), and the judgement reads them all (``read_history``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chaos.evidence.fields import Fields, LineFile, given, missing_lines, read_lines
from chaos.evidence.records import (
    Operation,
    OperationOutcome,
    ReadPromise,
    Scalar,
    SiteHistory,
    Stall,
)
from replication.wire.wal import parse_lsn

OUTCOMES: Mapping[str, OperationOutcome] = {
    "ok": "ok",
    "fail": "fail",
    "info": "info",
    "already": "already",
}
"""The types of the lines that end an operation."""

DIRECT_PER_S = 5.0
"""Writes straight to the members, a second and site, beside a load through a proxy: an outage is
known to a fifth of a second, and the load is not disturbed."""

READ_PROMISES: Mapping[str, ReadPromise] = {"any": "any", "after": "after"}
"""What ``read`` in the lines of a read says."""

STOPPED = "still open when the load was stopped"
"""The error of an operation that was not given its time; format 1 says it in no other way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An operation begins. The fields are those of ``Operation``."""

    id: str
    worker: int
    t_s: float
    leaves_entry: bool = True
    work: Mapping[str, Scalar] = field(default_factory=dict)
    shared_unit: str | None = None
    asks: ReadPromise | None = None
    after: str | None = None

    def line(self) -> dict[str, object]:
        """The object of its line."""
        line: dict[str, object] = {"type": "invoke", "id": self.id, "worker": self.worker}
        line["t_s"] = self.t_s
        if self.shared_unit is not None:
            line["unit"] = self.shared_unit
        if not self.leaves_entry:
            line["entry"] = False
        if self.asks is not None:
            line["read"] = self.asks
        if self.after is not None:
            line["after"] = self.after
        if self.work:
            line["work"] = self.work
        return line

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The inverse of ``line``; ``ValueError`` names the field that makes no sense."""
        return cls(
            id=fields.text("id"),
            worker=fields.integer("worker"),
            leaves_entry=fields.flag("entry", default=True),
            work=fields.scalars("work"),
            t_s=fields.number("t_s"),
            shared_unit=fields.text_or_none("unit"),
            asks=_read_promise(fields),
            after=fields.text_or_none("after"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An operation ended. The fields are those of ``Operation``."""

    id: str
    outcome: OperationOutcome
    t_s: float
    node: str | None = None
    timeline: int | None = None
    lsn: str | None = None
    attempt_s: float | None = None
    attempts: int = 1
    resolved: bool = False
    sqlstate: str | None = None
    error: str | None = None
    stopped: bool = False
    result: Mapping[str, Scalar] = field(default_factory=dict)
    asks: ReadPromise | None = None
    source: str | None = None

    def line(self) -> dict[str, object]:
        """The object of its line: only the fields of its outcome."""
        line: dict[str, object] = {"type": self.outcome, "id": self.id, "t_s": self.t_s}
        if self.asks is not None:
            said = {"node": self.node, "source": self.source, "error": self.error}
            line |= {"read": self.asks, **{k: v for k, v in said.items() if v is not None}}
            return {**line, "result": self.result} if self.result else line
        if self.stopped:
            return {**line, "stopped": True, "error": self.error}
        is_placed = self.outcome == "ok" and self.node is not None
        if is_placed:
            line["attempt_s"] = self.attempt_s
        line["attempts"] = self.attempts
        if is_placed:
            line |= {"node": self.node, "timeline": self.timeline, "lsn": self.lsn}
        if self.outcome == "ok":
            line["resolved"] = self.resolved
            return {**line, "result": self.result} if self.result else line
        said = {"error": self.error, "node": self.node, "sqlstate": self.sqlstate}
        return {**line, **given(said)}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The inverse of ``line``; ``ValueError`` names the field that makes no sense."""
        error = fields.text_or_none("error")
        return cls(
            id=fields.text("id"),
            lsn=fields.text_or_none("lsn"),
            t_s=fields.number("t_s"),
            outcome=OUTCOMES[fields.text("type")],
            node=fields.text_or_none("node"),
            timeline=fields.integer_or_none("timeline"),
            attempt_s=fields.number_or_none("attempt_s"),
            attempts=fields.integer_or_none("attempts") or 1,
            resolved=fields.flag("resolved"),
            sqlstate=fields.text_or_none("sqlstate"),
            error=error,
            stopped=fields.flag("stopped") or error == STOPPED,
            result=fields.scalars("result"),
            asks=_read_promise(fields),
            source=fields.text_or_none("source"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The event loop did not run for ``stall_s``, up to ``t_s``."""

    t_s: float
    stall_s: float

    def line(self) -> dict[str, object]:
        """The object of its line."""
        return {"type": "stall", "t_s": self.t_s, "stall_s": self.stall_s}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The inverse of ``line``; ``ValueError`` names the field that makes no sense."""
        return cls(t_s=fields.number("t_s"), stall_s=fields.number("stall_s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The history is complete: this many operations were invoked."""

    t_s: float
    operations: int

    def line(self) -> dict[str, object]:
        """The object of its line."""
        return {"type": "end", "t_s": self.t_s, "operations": self.operations}


class HistoryFile(LineFile):
    """Appends lines, so that a history survives the process that writes it."""

    def write(self, what: Invocation | End | Stalled | Closed) -> None:
        """Append one line.

        Raises:
            OSError: the disk is full, say; an operation must not be called ok without its line.
        """
        self.append(what.line())


class HistoryTail:
    """Follows a history that is being written: each call of ``ends`` tells what is new.

    Reads are left out: another member than the primary may serve them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def ends(self) -> Iterator[End]:
        """How units of work ended since the last call.

        A line that is not written to its end is left for a later call, and one that makes no sense
        is left to those who judge.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict) and value.get("type") in OUTCOMES:
                    end = End.read(Fields(value))
                    if end.asks is None:
                        yield end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """An invocation, and the line on which it stands."""

    fields: Fields
    worker: int
    line: int


def history_path(folder: Path, site: str) -> Path:
    """Where the history of a site is."""
    return folder / f"history-{site}.jsonl"


def direct_path(folder: Path, site: str) -> Path:
    """Where it is how the site's writes straight to the members ended."""
    return folder / f"direct-{site}.jsonl"


def read_histories(folder: Path, damage: list[str]) -> tuple[SiteHistory, ...]:
    """Every history of a run folder, in the order of the sites' names."""
    paths = sorted(folder.glob("history-*.jsonl"))
    return tuple(read_history(path, path.stem.removeprefix("history-"), damage) for path in paths)


def read_direct(folder: Path, damage: list[str]) -> tuple[SiteHistory, ...]:
    """What was written straight to the members beside a load through a proxy, by site; none in most
    runs. No id of them is an operation of the load."""
    paths = sorted(folder.glob("direct-*.jsonl"))
    return tuple(read_history(path, path.stem.removeprefix("direct-"), damage) for path in paths)


def read_history(path: Path, site: str, damage: list[str]) -> SiteHistory:
    """The history of one site. Lines that make no sense are left out and added to ``damage``.

    An operation whose end is not on record is ``info`` without ``ended_s``: in doubt. A worker
    has one operation at a time, so only its last one can be without an end, and only where the
    process did not close its history: every other end that is missing was lost.
    """
    begun: dict[str, _Begun] = {}
    ended: dict[str, Fields] = {}
    stalls: list[Stall] = []
    numbers: list[int | None] = []
    complete = False
    written: int | None = None
    for number, line in read_lines(path, damage):
        try:
            kind = line.get("type")
            fields = Fields(line)
            numbers.append(fields.integer_or_none("seq"))
            if complete:
                damage.append(f"{path.name}: line {number} stands behind the end")
            if kind == "invoke":
                id_ = _new(begun, fields, "was invoked before")
                begun[id_] = _Begun(fields=fields, worker=fields.integer("worker"), line=number)
            elif kind in OUTCOMES:
                ended[_begun(begun, _new(ended, fields, "ended before"))] = fields
            elif kind == "stall":
                stall = Stalled.read(fields)
                stalls.append(Stall(site=site, t_s=stall.t_s, stall_s=stall.stall_s))
            elif kind == "end":
                complete = True
                written = fields.integer_or_none("operations")
            else:
                damage.append(f"{path.name}: line {number} has an unknown type")
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    damage += [f"{path.name}: {what}" for what in missing_lines(numbers, "line")]
    if written is not None and written != len(begun):
        damage.append(f"{path.name}: operations: {len(begun)}, its end says {written}")
    damage += [f"{path.name}: {what}" for what in _missing_ends(begun, ended, complete=complete)]
    operations: list[Operation] = []
    for id_, one in begun.items():
        try:
            invocation = Invocation.read(one.fields)
            end = End.read(ended[id_]) if id_ in ended else None
            operations.append(_operation(site, invocation, end))
        except ValueError as error:
            damage.append(f"{path.name}: {id_}: {error}")
    return SiteHistory(
        site=site,
        operations=tuple(one for one in operations if one.asks is None),
        reads=tuple(one for one in operations if one.asks is not None),
        stalls=tuple(stalls),
        complete=complete,
    )


def _new(known: Mapping[str, object], fields: Fields, complaint: str) -> str:
    """The id of an operation that has no such line in ``known`` yet."""
    id_ = fields.text("id")
    if id_ in known:
        raise ValueError(f"{id_} {complaint}")
    return id_


def _begun(begun: Mapping[str, _Begun], id_: str) -> str:
    """The id of an operation that ended, which must have begun."""
    if id_ not in begun:
        raise ValueError(f"{id_} ended without being invoked before")
    return id_


def _missing_ends(
    begun: Mapping[str, _Begun], ended: Mapping[str, Fields], *, complete: bool
) -> Iterator[str]:
    """The ends that must have been written and are not on record.

    Args:
        begun: The invocations, in the order of the file.
        ended: The ends.
        complete: The process closed its history, and before that ended what was open.
    """
    last: dict[int, str] = {}
    for id_, one in begun.items():
        before = last.get(one.worker)
        if before is not None and before not in ended:
            yield (
                f"line {one.line}: worker {one.worker} begins {id_}, and the end of {before} "
                f"(line {begun[before].line}) is missing"
            )
        last[one.worker] = id_
    if complete:
        for worker, id_ in sorted(last.items()):
            if id_ not in ended:
                yield (
                    f"line {begun[id_].line}: the end of {id_} is missing, which worker {worker} "
                    "had open when the history was closed"
                )


def _operation(site: str, begun: Invocation, end: End | None) -> Operation:
    """One operation from its invocation and its end; without an end it is in doubt."""
    if end is None:
        return Operation(
            id=begun.id,
            site=site,
            worker=begun.worker,
            invoked_s=begun.t_s,
            ended_s=None,
            outcome="info",
            leaves_entry=begun.leaves_entry,
            work=begun.work,
            shared_unit=begun.shared_unit,
            asks=begun.asks,
            after=begun.after,
        )
    return Operation(
        id=begun.id,
        site=site,
        worker=begun.worker,
        invoked_s=begun.t_s,
        ended_s=end.t_s,
        outcome=end.outcome,
        node=end.node,
        timeline=end.timeline,
        lsn=None if end.lsn is None else parse_lsn(end.lsn),
        attempt_s=end.attempt_s,
        attempts=end.attempts,
        resolved=end.resolved,
        sqlstate=end.sqlstate,
        error=end.error,
        leaves_entry=begun.leaves_entry,
        stopped=end.stopped,
        work=begun.work,
        result=end.result,
        shared_unit=begun.shared_unit,
        asks=begun.asks,
        after=begun.after,
        source=end.source,
    )


def _read_promise(fields: Fields) -> ReadPromise | None:
    said = fields.text_or_none("read")
    if said is None:
        return None
    if said not in READ_PROMISES:
        raise ValueError(f"read is {said}")
    return READ_PROMISES[said]
