"""What a member's PostgreSQL says of itself, of its replicas and slots: one statement, one value.

PostgreSQL 15 to 18. Works on a primary and on a replica, and without any right: what the role may
not see is empty, and ``missing`` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

from psycopg.rows import TupleRow

from replication.wire.wal import timeline_of

Permission = Literal["read_stats", "heartbeat"]
PERMISSIONS: tuple[Permission, ...] = ("read_stats", "heartbeat")

ASK: LiteralString = """
SELECT
    r.in_recovery,
    CASE WHEN NOT r.in_recovery THEN (pg_current_wal_lsn() - '0/0')::bigint END,
    CASE WHEN NOT r.in_recovery THEN pg_walfile_name(pg_current_wal_insert_lsn()) END,
    CASE WHEN r.in_recovery THEN (pg_last_wal_receive_lsn() - '0/0')::bigint END,
    CASE WHEN r.in_recovery THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END,
    (SELECT received_tli FROM pg_stat_wal_receiver),
    EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'),
    (SELECT timeline_id FROM pg_control_checkpoint()),
    current_setting('synchronous_standby_names'),
    (SELECT coalesce(json_agg(s), '[]') FROM (
        SELECT application_name AS name, state, sync_state,
            (sent_lsn - '0/0')::bigint AS sent, (write_lsn - '0/0')::bigint AS write,
            (flush_lsn - '0/0')::bigint AS flush, (replay_lsn - '0/0')::bigint AS replay
        FROM pg_stat_replication WHERE sent_lsn IS NOT NULL) AS s),
    (SELECT coalesce(json_agg(s), '[]') FROM (
        SELECT slot_name AS name, active,
            CASE WHEN NOT r.in_recovery
                THEN (pg_current_wal_lsn() - restart_lsn)::bigint END AS retained
        FROM pg_replication_slots) AS s),
    (SELECT coalesce(json_object_agg(c.cause, c.queries), '{}') FROM (
        SELECT substr(key, length('confl_') + 1) AS cause, sum(value::bigint)::bigint AS queries
        FROM pg_stat_database_conflicts AS d, jsonb_each_text(to_jsonb(d))
        WHERE starts_with(key, 'confl_') GROUP BY key) AS c),
    pg_has_role('pg_read_all_stats', 'USAGE'),
    coalesce((SELECT has_schema_privilege(n.oid, 'USAGE')
            AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'bascule' AND c.relname = 'heartbeat'), false)
FROM (SELECT pg_is_in_recovery() AS in_recovery) AS r
"""
"""Rights are looked up by oid: by name, a schema that the role may not use would be an error."""

_COUNTED = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """A row of ``pg_stat_replication``: sent, write, flush and replay positions in bytes.

    ``positions`` is None for a standby that has just connected and not said how far it is.
    """

    name: str
    state: str
    sync_state: str
    positions: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A replication slot; ``retained_bytes`` is None where it keeps no WAL."""

    name: str
    active: bool
    retained_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlAnswer:
    """The answer of one member.

    ``position``: of a primary. ``received``, ``replayed``: of a replica, None where it has none.
    ``timeline``: what a primary writes, what a replica's receiver gets; None for a replica without
    one, of which only ``checkpoint_timeline`` is known, and that may be out of date.
    ``conflicts``: queries that were cancelled for its recovery, by cause, in all databases.
    """

    in_recovery: bool
    position: int | None
    timeline: int | None
    checkpoint_timeline: int
    received: int | None
    replayed: int | None
    streams: bool
    synchronous_standby_names: str
    standbys: tuple[Standby, ...]
    slots: tuple[Slot, ...]
    conflicts: tuple[tuple[str, int], ...]
    missing: tuple[Permission, ...]
    system_identifier: int


def parse_answer(row: TupleRow, system_identifier: int) -> SqlAnswer:
    """The row that ``ASK`` returns."""
    (in_recovery, position, wal_file, received, replayed, received_tli, streams) = row[:7]
    (checkpoint_timeline, sync_names, standbys, slots, conflicts, read_stats, heartbeat) = row[7:]
    granted = {"read_stats": read_stats, "heartbeat": heartbeat}
    return SqlAnswer(
        in_recovery=in_recovery,
        position=position,
        timeline=received_tli if wal_file is None else timeline_of(wal_file),
        checkpoint_timeline=checkpoint_timeline,
        received=received,
        replayed=replayed,
        streams=streams,
        synchronous_standby_names=sync_names,
        standbys=tuple(_standby(row) for row in standbys),
        slots=_slots(slots),
        conflicts=tuple(sorted(conflicts.items())),
        missing=tuple(name for name in PERMISSIONS if not granted[name]),
        system_identifier=system_identifier,
    )


def _standby(row: dict[str, Any]) -> Standby:
    positions = (row["sent"], row["write"], row["flush"], row["replay"])
    return Standby(
        name=row["name"],
        state=row["state"],
        sync_state=row["sync_state"],
        positions=None if None in positions else positions,
    )


def _slots(rows: Sequence[dict[str, Any]]) -> tuple[Slot, ...]:
    slots = [
        Slot(name=row["name"], active=row["active"], retained_bytes=row["retained"]) for row in rows
    ]
    return tuple(sorted(slots, key=lambda slot: slot.name))


def standbys_required(setting: str) -> int:
    """How many standbys a commit waits for, by ``synchronous_standby_names``.

    The number in the setting; 1 for a plain list, 0 when it is empty. The setting is ``FIRST n
    (...)``, ``ANY n (...)``, ``n (...)`` (as FIRST), or a plain list (PostgreSQL manual, 19.6.2).

    A standby whose name begins with a digit must be quoted there, so it cannot pass for a number.
    """
    counted = _COUNTED.match(setting)
    if counted is not None:
        return int(counted[1])
    return 1 if setting.strip() else 0
