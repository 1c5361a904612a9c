"""Settings of the PostgreSQL servers that depend on the size of the topology. Pure.

The minimum of each is PostgreSQL's own default, or the value for small topologies.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.topology.model import Topology

WAL_SENDERS_MIN = 10
"""PostgreSQL's default, for the senders and for the slots."""
SPARE_WAL_SENDERS = 4
"""For others: ``pg_receivewal``, a backup by hand, a replica that reconnects before its old sender
has noticed."""
BACKUP_SENDERS = 2
"""``pg_basebackup`` takes two connections: one for the files, one for the WAL, and for that a slot
(PostgreSQL manual, pg_basebackup, ``--wal-method=stream``)."""
CONNECTIONS_MIN = 100
CONNECTIONS_OF_CLIENT = 20
"""A load's storage holds 16 sessions at most (``sessions_max``), and some are for looking."""
CONNECTIONS_OF_NODE = 2
"""A final read of every server, and an exporter's session there."""
CONNECTIONS_OF_SERVER = 10
"""Patroni's own, and the 3 reserved for superusers."""
WAL_KEPT_MB = 256
WAL_KEPT_MB_MIN = 64
WAL_KEPT_MB_OF_ALL = 4096
WAL_MAX_MB = 1024
WAL_MAX_MB_MIN = 128
WAL_MAX_MB_OF_ALL = 6144
"""The lab's disks are in memory: many servers keep less WAL each, and check more often."""
WAL_SEGMENT_MB = 16
WAL_SEGMENT_MB_OF_ALL = 64
"""PostgreSQL's default is 16. A base backup begins and ends with a new segment, and the unused rest
of the old one is still sent to every replica: with 30 servers 14 GB while they are raised."""
SHARED_BUFFERS_MB = 32
SHARED_BUFFERS_MB_MIN = 16
SHARED_BUFFERS_MB_OF_ALL = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSize:
    """Settings of every PostgreSQL of a topology, as any of them may become the primary."""

    max_connections: int
    max_wal_senders: int
    max_replication_slots: int
    wal_keep_size_mb: int
    max_wal_size_mb: int
    wal_segment_mb: int
    """A power of 2."""
    shared_buffers_mb: int


def server_size(topology: Topology) -> ServerSize:
    """What the servers need, so that all replicas can be made, and stream, at once."""
    nodes = len(topology.nodes)
    replicas = nodes - 1
    senders = max(WAL_SENDERS_MIN, BACKUP_SENDERS * replicas + SPARE_WAL_SENDERS)
    connections = (
        CONNECTIONS_OF_SERVER
        + CONNECTIONS_OF_NODE * nodes
        + CONNECTIONS_OF_CLIENT * len(topology.hosts_with("client"))
    )
    return ServerSize(
        max_connections=max(CONNECTIONS_MIN, connections),
        max_wal_senders=senders,
        max_replication_slots=senders,
        wal_keep_size_mb=_share(WAL_KEPT_MB_OF_ALL, nodes, WAL_KEPT_MB_MIN, WAL_KEPT_MB),
        max_wal_size_mb=_share(WAL_MAX_MB_OF_ALL, nodes, WAL_MAX_MB_MIN, WAL_MAX_MB),
        wal_segment_mb=_power_of_2(_share(WAL_SEGMENT_MB_OF_ALL, nodes, 1, WAL_SEGMENT_MB)),
        shared_buffers_mb=_share(
            SHARED_BUFFERS_MB_OF_ALL, nodes, SHARED_BUFFERS_MB_MIN, SHARED_BUFFERS_MB
        ),
    )


def _share(of_all: int, nodes: int, low: int, high: int) -> int:
    return max(low, min(high, of_all // max(1, nodes)))


def _power_of_2(number: int) -> int:
    """The greatest that is not above ``number``."""
    return 1 << (number.bit_length() - 1)
