"""What weeks without a replica do to its primary, done at once: for the fault ``host-absent``."""

from __future__ import annotations

import re
from typing import LiteralString

import anyio
import psycopg

from chaos.load.admin import superuser_session
from cluster.errors import ClusterError
from cluster.raised import RaisedCluster
from replication import StorageError
from replication.wire import Session

TIMEOUT_S = 60.0
"""For a dozen segments of 16 MB, which every replica receives too."""
POLL_S = 0.1

FIND_SLOT: LiteralString = (
    "SELECT restart_lsn::text, active_pid FROM pg_replication_slots WHERE slot_name = %s"
)
END_SENDER: LiteralString = "SELECT pg_terminate_backend(%s)"
DROP_SLOT: LiteralString = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
    " WHERE slot_name = %s AND NOT active"
)
FILL_SEGMENT: tuple[LiteralString, ...] = (
    "SELECT pg_logical_emit_message(false, 'bascule', 'weeks go by')",
    "SELECT pg_switch_wal()",
    "CHECKPOINT",
)
OLDEST_SEGMENT: LiteralString = (
    "SELECT min(right(name, 16)) > right(pg_walfile_name(%s::pg_lsn), 16), min(right(name, 16))"
    " FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
)
"""Whether the segment with this position is gone, and the oldest that is there: a file's name is
the timeline in 8 digits, and the segment in 16 (PostgreSQL manual, 28.6)."""


def slot_of(member: str) -> str:
    """The slot of a member: as Patroni names it, from names with letters, digits and hyphens."""
    return re.sub(r"[-.]", "_", member.lower())


async def let_go(cluster: RaisedCluster, primary: str, absent: str) -> str:
    """Drop the slot of a member that is gone, and recycle the WAL that it lacks; in words.

    Patroni makes the slot anew, from the last checkpoint on: that is too late for the member.

    Raises:
        ClusterError: the WAL is there still.
    """
    slot, session = (
        slot_of(absent),
        superuser_session(cluster, primary, application="bascule-fault"),
    )
    try:
        with anyio.fail_after(TIMEOUT_S):
            async with session as primary_session:
                needed = await _position(primary_session, slot)
                while True:
                    await _drop(primary_session, slot)
                    for statement in FILL_SEGMENT:
                        await primary_session.fetch(statement)
                    [[gone, oldest]] = await primary_session.fetch(OLDEST_SEGMENT, (needed,))
                    if gone:
                        break
                    await anyio.sleep(POLL_S)
    except (psycopg.Error, StorageError, TimeoutError, ExceptionGroup) as error:
        words = f"{primary} still has the WAL that {absent} lacks: {error or 'no end in time'}"
        raise ClusterError(words, node=primary) from error
    return f"its slot was dropped on {primary}, whose WAL begins with segment {oldest} now"


async def _position(session: Session, slot: str) -> str:
    """Up to where the member has the WAL at least."""
    rows = await session.fetch(FIND_SLOT, (slot,))
    if rows and rows[0][0] is not None:
        return str(rows[0][0])
    return str((await session.fetch("SELECT pg_current_wal_flush_lsn()::text"))[0][0])


async def _drop(session: Session, slot: str) -> None:
    """Drop it; who sends to the member still does not know that it is gone, and is ended first."""
    for _, sender in await session.fetch(FIND_SLOT, (slot,)):
        if sender is not None:
            await session.fetch(END_SENDER, (sender,))
    await session.fetch(DROP_SLOT, (slot,))
