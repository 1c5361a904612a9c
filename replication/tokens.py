"""A token: "at least my last write", to be carried to a later read, in this process or another.

It names the id row of the unit of work, and where in the WAL it was written. The row is written in
the same transaction as the data, so a snapshot that shows the row shows the data: **whether a
server has the write is answered by the row itself**, on whatever timeline the server is, and after
however many failovers. The position only says how long to wait on a server that is behind, and what
a missing row means once rows of that age were pruned.

As text (an HTTP header, a job's state) it is ``v1.<timeline>.<lsn>.<attempt>.<unit id>``, with
the id percent-encoded: ASCII without spaces, quotes, commas or semicolons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote

_TEXT = re.compile(r"v1\.(\d{1,10})\.([0-9A-F]{1,8}/[0-9A-F]{1,8})\.(\d{1,9})\.(.*)", re.ASCII)
_QUOTED = re.compile(r"[A-Za-z0-9_.~%-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Stands for one applied unit of work.

    ``lsn`` (as text) was read inside its transaction on ``timeline``: a lower bound of the commit
    record's. ``attempt`` is the number of its id row.
    """

    timeline: int
    lsn: str
    unit_id: str
    attempt: int

    def __str__(self) -> str:
        return f"v1.{self.timeline}.{self.lsn}.{self.attempt}.{quote(self.unit_id, safe='')}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The token that ``str`` made.

        Raises:
            ValueError: it is none. It may come from outside, so nothing but the exact form passes.
        """
        found = _TEXT.fullmatch(text)
        if found is None or not _QUOTED.fullmatch(found[4]):
            raise ValueError("not a token of the storage layer (v1.<timeline>.<lsn>...)")
        token = cls(
            timeline=int(found[1]),
            lsn=found[2],
            attempt=int(found[3]),
            unit_id=unquote(found[4], errors="strict"),
        )
        if str(token) != text or "\0" in token.unit_id:  # another spelling; no server stores a NUL
            raise ValueError("not a token of the storage layer: not the form that it is written in")
        return token


def lsn_bytes(lsn: str) -> int:
    """``0/3000060`` as a number of bytes (PostgreSQL manual, 8.20)."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def survived(token: Token, history: tuple[tuple[int, int], ...]) -> bool:
    """Whether the token's write is part of what came after its timeline.

    Args:
        token: of a timeline that is over.
        history: (timeline, the LSN in bytes at which it ended), as ``GET /history`` gives it.
    """
    ends = dict(history)
    return token.timeline in ends and lsn_bytes(token.lsn) < ends[token.timeline]
