"""``final-<node>.jsonl`` (docs/reference/run-folder.md): written row by row, read whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.evidence.fields import Fields, read_lines
from chaos.evidence.records import FinalRead, LedgerRow
from replication.wire.wal import parse_lsn


class FinalReadFile:
    """Writes what one node holds: ``begin``, then its rows, then ``end``.

    Without its end the file is not whole, and proves nothing. Where the node cannot be read, the
    file is written again with ``fail``. Use it as a context manager.
    """

    def __init__(self, folder: Path, node: str) -> None:
        self._node = node
        self._file = (folder / f"final-{node}.jsonl").open("w", encoding="utf-8")
        self._lines: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def begin(self, *, t_s: float, timeline: int, lsn: str | None, is_primary: bool) -> None:
        """Where the node stood when it was read."""
        self._write(
            {
                "type": "header",
                "t_s": t_s,
                "node": self._node,
                "timeline": timeline,
                "lsn": lsn,
                "is_primary": is_primary,
            }
        )

    def row(self, kind: str | None, id_: str | None, content: str | None) -> None:
        """An entry (``row``), or a piece of ``state``."""
        self._write({"type": kind, "id": id_, "content": content})
        self._lines[str(kind)] += 1

    def end(self) -> None:
        """All rows are there; it says how many."""
        end: dict[str, str | int] = {"type": "end", "rows": self._lines["row"]}
        if self._lines["state"]:
            end["state"] = self._lines["state"]
        self._write(end)

    def fail(self, error: str) -> None:
        """Write only why the node could not be read."""
        self._write({"type": "error", "node": self._node, "error": error})

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.write(f"{json.dumps(line)}\n")


def read_final_reads(folder: Path, damage: list[str]) -> tuple[FinalRead, ...]:
    """Every final read of a run folder that is whole, in the order of the nodes' names."""
    paths = sorted(folder.glob("final-*.jsonl"))
    reads = (read_final(path, path.stem.removeprefix("final-"), damage) for path in paths)
    return tuple(read for read in reads if read is not None)


def read_final(path: Path, node: str, damage: list[str]) -> FinalRead | None:
    """The ledger as one node held it.

    Returns:
        None when the file is not whole: a row that is missing from it would look like a lost entry.
        ``damage`` then says what is wrong with the file.
    """
    known = len(damage)
    lines = 0
    header: Fields | None = None
    rows: list[LedgerRow] = []
    state: list[LedgerRow] = []
    written: tuple[int, int] | None = None
    for number, line in read_lines(path, damage):
        kind = line.get("type")
        lines += 1
        try:
            _require_place(kind, is_first=lines == 1, is_ended=written is not None)
            if kind == "row":
                rows.append(_row(line))
                continue
            if kind == "state":
                state.append(_row(line))
                continue
            fields = Fields(line)
            if kind == "header":
                header = _of_node(fields, node)
            elif kind == "end":
                written = (fields.integer("rows"), fields.integer_or_none("state") or 0)
            elif kind == "error":
                return FinalRead(node=node, error=fields.text_or_none("error") or "no reason given")
            else:
                damage.append(f"{path.name}: line {number} has an unknown type")
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    if header is None:
        damage.append(f"{path.name}: no header")
    elif written != (len(rows), len(state)):
        damage.append(
            f"{path.name}: {_counted(len(rows), len(state))}, its end says "
            f"{_counted(*written) if written else None}"
        )
    if header is None or len(damage) > known:
        return None
    try:
        lsn = header.text_or_none("lsn")
        return FinalRead(
            node=node,
            rows=tuple(rows),
            state=tuple(state),
            timeline=header.integer_or_none("timeline"),
            lsn=None if lsn is None else parse_lsn(lsn),
            is_primary=header.boolean("is_primary"),
        )
    except ValueError as error:
        damage.append(f"{path.name}: header: {error}")
        return None


def _require_place(kind: object, *, is_first: bool, is_ended: bool) -> None:
    """A file is a header, then rows, then an end; or an error, and nothing else.

    Raises:
        ValueError: the line does not belong where it stands.
    """
    if is_ended:
        raise ValueError("stands behind the end")
    if (kind in {"header", "error"}) != is_first:
        raise ValueError(f"no {kind} belongs there")


def _of_node(header: Fields, node: str) -> Fields:
    """The header of a file that is of that node and no other."""
    if header.text_or_none("node") not in {None, node}:
        raise ValueError(f"it is of {header.text('node')}")
    return header


def _counted(rows: int, state: int) -> str:
    return f"{rows} row{'' if rows == 1 else 's'}" + (f" and {state} of state" if state else "")


def _row(line: Mapping[str, object]) -> LedgerRow:
    """A row; without ``Fields``, because there are a hundred thousand of them."""
    id_, content = line.get("id"), line.get("content")
    if not isinstance(id_, str) or not isinstance(content, str):
        raise ValueError("id or content is no text")  # noqa: TRY004 - damage of a line, no bug
    return LedgerRow(id=id_, content=content)
