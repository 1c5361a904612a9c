"""The state of each replica: how far behind, streaming or not, counted as what. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from replication.monitoring.lag.board import LagBoard, Record
from replication.monitoring.lag.positions import WalStage, lag_bytes
from replication.monitoring.lag.sql_answer import Standby


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A replica compared with the primary; None is unknown.

    ``sync_state``: as the primary says; empty when it has no connection to the replica.
    """

    lag_bytes: dict[WalStage, int] | None
    lag_s: float | None
    streams: bool
    sync_state: str | None


def standing(board: LagBoard, name: str, *, now_s: float) -> Standing | None:
    """How member ``name`` stands at ``now_s``; None for one that is not a replica.

    The reference primary is not a replica, nor is any other server that answers and is writable:
    its data is not behind, it is another history. A former primary that does not answer is measured
    as a replica: the cluster goes on without it.
    """
    record = board.records[name]
    reference = board.reference
    if record.is_writable or (reference is not None and reference.member == name):
        return None
    bytes_behind = None
    if reference is not None and record.reached is not None:
        bytes_behind = lag_bytes(reference, record.reached, board.timeline_ends)
    seconds_behind = None
    if record.seen is not None:
        seconds_behind = board.beats.lag_s(record.seen, now_s=now_s, silent=record.silent)
    row = board.row_of(name)
    sync_state = None
    if board.reference_answer is not None:
        sync_state = "" if row is None else row.sync_state
    return Standing(
        lag_bytes=bytes_behind,
        lag_s=seconds_behind,
        streams=_streams(board, record, now_s),
        sync_state=sync_state,
    )


def _streams(board: LagBoard, record: Record, now_s: float) -> bool:
    """Whether it receives WAL: its own word, else its Patroni's, else the primary's."""
    if record.sql is not None and "read_stats" not in record.sql.missing:
        return record.sql.streams
    if record.patroni is not None and record.patroni.role != "unknown":
        return record.patroni.streams is True
    return is_streamed_to(board, board.row_of(record.member.name), now_s)


def is_streamed_to(board: LagBoard, row: Standby | None, now_s: float) -> bool:
    """Whether the primary streams to a standby that takes it: a row alone proves nothing for
    ``wal_sender_timeout`` (60 s by default) after the standby fell silent."""
    return row is not None and row.state == "streaming" and not board.is_stalled(row.name, now_s)
