"""``final-<node>.jsonl`` to a ``FinalRead``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chaos.evidence.fields import Fields
from chaos.evidence.lines import read_lines
from chaos.evidence.records import FinalRead, LedgerRow, parse_lsn


def read_final(path: Path, node: str, damage: list[str]) -> FinalRead | None:
    """The ledger as one node held it.

    Returns:
        None when the file is not whole: a row that is missing from it would look like a lost entry.
        ``damage`` then says what is wrong with the file.
    """
    known = len(damage)
    header: Fields | None = None
    rows: list[LedgerRow] = []
    state: list[LedgerRow] = []
    written: tuple[int, int] | None = None
    for number, line in read_lines(path, damage):
        kind = line.get("type")
        try:
            if kind == "row":
                rows.append(_row(line))
                continue
            if kind == "state":
                state.append(_row(line))
                continue
            fields = Fields(line)
            if kind == "header":
                header = fields
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


def _counted(rows: int, state: int) -> str:
    return f"{rows} rows" + (f" and {state} of state" if state else "")


def _row(line: Mapping[str, object]) -> LedgerRow:
    """A row; without ``Fields``, because there are a hundred thousand of them."""
    id_, content = line.get("id"), line.get("content")
    if not isinstance(id_, str) or not isinstance(content, str):
        raise ValueError("id or content is no text")  # noqa: TRY004 - damage of a line, no bug
    return LedgerRow(id=id_, content=content)
