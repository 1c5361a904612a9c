"""What must hold before a unit of work is called applied, and how it is seen to hold.

- ``local``: the primary's own disk has it (``synchronous_commit = local``). A failover may lose it.
- ``quorum``: a synchronous standby's disk has it too, as Patroni's synchronous mode arranges. The
  server waits for that by itself, but only while ``synchronous_standby_names`` is not empty: when
  Patroni empties it (not in strict mode, when no standby is left), commits that are waiting are
  released without a warning (``SyncRepUpdateSyncStandbysDefined`` in
  ``src/backend/replication/syncrep.c``). So the setting is read in the transaction and once more
  right after its commit; empty then means that the commit is in doubt.
- ``all_sites``: on top of that, in every site some member's disk has it, by the primary's
  ``pg_stat_replication``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from psycopg import sql

if TYPE_CHECKING:
    from replication.patroni.members import Member
    from replication.wire import Query

Durability = Literal["local", "quorum", "all_sites"]

Isolation = Literal["read committed", "repeatable read", "serializable"]

PROOF = (
    "SELECT current_setting('synchronous_standby_names') <> '', pg_current_wal_insert_lsn()::text"
)
"""Run right after COMMIT. The position is past the commit record."""

CONFIRMED = "SELECT application_name FROM pg_stat_replication WHERE flush_lsn >= %s::pg_lsn"
"""The replicas whose disk has everything up to a position; Patroni names them like its members."""

MAY_SEE_REPLICATION = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'usage')"
"""Without that right ``pg_stat_replication`` shows no positions (PostgreSQL manual, 27.2.4)."""

_BEGIN: dict[Isolation, Query] = {
    "read committed": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "repeatable read": "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE",
}

_LOCAL: Query = "SET LOCAL synchronous_commit = local"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPlan:
    """How a transaction begins, and what is to be seen after its commit."""

    durability: Durability
    begin: Query
    preamble: tuple[Query, ...]

    @property
    def proof(self) -> Query | None:
        """The statement that travels with COMMIT."""
        return None if self.durability == "local" else PROOF


@lru_cache(maxsize=256)
def plan(
    durability: Durability,
    *,
    isolation: Isolation | None = None,
    statement_timeout_s: float | None = None,
) -> CommitPlan:
    """The plan for a unit of work.

    Args:
        durability: what is asked for.
        isolation: the server's default if None.
        statement_timeout_s: for each statement; the server's default if None.

    Raises:
        ValueError: no such durability or isolation.
    """
    if durability not in get_args(Durability):
        raise ValueError(f"durability {durability!r}: expected {', '.join(get_args(Durability))}")
    if isolation is not None and isolation not in _BEGIN:
        raise ValueError(f"isolation {isolation!r}: expected {', '.join(_BEGIN)}")
    preamble: list[Query] = [_LOCAL] if durability == "local" else []
    if statement_timeout_s is not None:
        milliseconds = max(1, round(statement_timeout_s * 1000))
        preamble.append(
            sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(milliseconds))
        )
    return CommitPlan(
        durability=durability,
        begin="BEGIN" if isolation is None else _BEGIN[isolation],
        preamble=tuple(preamble),
    )


def sites_missing(
    members: Sequence[Member], *, primary: str, confirmed: Collection[str]
) -> tuple[str, ...]:
    """The sites in which no member has confirmed yet, in the order of the members.

    The primary's own site has it: its disk was written before any member was asked.
    """
    have = {member.site for member in members if member.name in confirmed or member.name == primary}
    sites = dict.fromkeys(member.site for member in members if member.site is not None)
    return tuple(site for site in sites if site not in have)
