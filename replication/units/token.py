"""A token: "at least my last write", to be carried to a later read, in this process or another.

It names the id row of the unit of work, and where in the WAL it was written. The row is written in
the same transaction as the data, so a snapshot that shows the row shows the data: **whether a
server has the write is answered by the row itself**, on whatever timeline the server is, and after
however many failovers. The key in the row tells this write from another caller's who came after a
failover that lost it. The position only says how long to wait on a server that is behind, and what
a missing row means once rows of that age were pruned.

As text (an HTTP header, a job's state) it is ``v2.<timeline>.<lsn>.<attempt>.<key>.<unit id>``,
with the key as 32 hexadecimal digits and the id percent-encoded: ASCII without spaces, quotes,
commas or semicolons. Earlier versions wrote ``v1.``, without a key, for rows that have none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import quote, unquote
from uuid import UUID

from psycopg.rows import TupleRow

from replication.wire.wal import parse_lsn

_PLACE = r"(?P<timeline>\d{1,10})\.(?P<lsn>[0-9A-F]{1,8}/[0-9A-F]{1,8})\.(?P<attempt>\d{1,9})"
_FORMS = (
    re.compile(rf"v2\.{_PLACE}\.(?P<key>[0-9a-f]{{32}})\.(?P<id>.*)", re.ASCII),
    re.compile(rf"v1\.{_PLACE}\.(?P<id>.*)", re.ASCII),
)
_QUOTED = re.compile(r"[A-Za-z0-9_.~%-]*", re.ASCII)


TokenStanding = Literal["there", "missing", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Stands for one applied unit of work.

    ``lsn`` (as text) was read inside its transaction on ``timeline``: a lower bound of the commit
    record's. ``attempt`` and ``attempt_key`` are the number and the key of its id row; None if a
    process of an earlier version wrote the row.
    """

    timeline: int
    lsn: str
    unit_id: str
    attempt: int
    attempt_key: UUID | None = None

    def __str__(self) -> str:
        place = f"{self.timeline}.{self.lsn}.{self.attempt}"
        unit_id = quote(self.unit_id, safe="")
        if self.attempt_key is None:
            return f"v1.{place}.{unit_id}"
        return f"v2.{place}.{self.attempt_key.hex}.{unit_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The token that ``str`` made.

        Raises:
            ValueError: it is not a token. It may come from outside, so only the exact form passes.
        """
        found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
        if found is None or not _QUOTED.fullmatch(found["id"]):
            raise ValueError("not a token of the storage layer (v2.<timeline>.<lsn>...)")
        key = found.groupdict().get("key")
        token = cls(
            timeline=int(found["timeline"]),
            lsn=found["lsn"],
            attempt=int(found["attempt"]),
            attempt_key=None if key is None else UUID(key),
            unit_id=unquote(found["id"], errors="strict"),
        )
        if str(token) != text or "\0" in token.unit_id:  # another spelling; no server stores a NUL
            raise ValueError("not a token of the storage layer: not the form that it is written in")
        return token


def standing_of(token: Token, row: TupleRow | None) -> TokenStanding:
    """What a server's row of the token's attempt (``id_row.LOOK``) says of the token's write.

    ``lost``: the number was taken by another caller's attempt, or is void. So a failover has taken
    the write away, for good. ``missing``: it has not come yet, or was lost, or pruned.
    """
    if row is None:
        return "missing"
    state, key = row
    return "there" if state == "applied" and key == token.attempt_key else "lost"


def survived(token: Token, history: tuple[tuple[int, int], ...]) -> bool:
    """Whether the token's write is part of what came after its timeline.

    Args:
        token: of a timeline that is over.
        history: (timeline, the LSN in bytes at which it ended), as ``GET /history`` gives it.
    """
    ends = dict(history)
    return token.timeline in ends and parse_lsn(token.lsn) < ends[token.timeline]
