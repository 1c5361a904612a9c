"""What servers are set to follows from how many there are, and suits every size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.topology.load import builtin_topologies, load_builtin
from cluster.topology.model import Host, Site, Topology
from cluster.topology.rules import HOSTS_MAX, problems_of_topology
from cluster.topology.size import BACKUP_SENDERS, server_size

SENDERS_MAX = 262_143
"""PostgreSQL's maximum of ``max_wal_senders`` and ``max_connections``."""


def topology_of(nodes: int, clients: int) -> Topology:
    """All in one site."""
    hosts = (
        Host(name="dcs", roles=("etcd",)),
        *(Host(name=f"db-{number}", roles=("postgres",)) for number in range(nodes)),
        *(Host(name=f"app-{number}", roles=("client",)) for number in range(clients)),
    )
    default = load_builtin("three-sites").with_settings(witness=False)
    return replace(default, name="sized", sites=(Site(name="one", hosts=hosts),))


@pytest.mark.parametrize("topology", builtin_topologies(), ids=lambda topology: topology.name)
def test_the_built_in_ones_have_what_they_always_had(topology: Topology) -> None:
    size = server_size(topology)
    assert (size.max_connections, size.wal_keep_size_mb, size.shared_buffers_mb) == (100, 256, 32)
    assert (size.max_wal_size_mb, size.max_replication_slots) == (1024, size.max_wal_senders)


@given(st.integers(2, HOSTS_MAX - 2), st.integers(1, HOSTS_MAX // 2))
def test_every_replica_can_be_made_and_stream_at_once(nodes: int, clients: int) -> None:
    topology = topology_of(nodes, min(clients, HOSTS_MAX - 1 - nodes))
    assert not list(problems_of_topology(topology))
    size = server_size(topology)
    assert BACKUP_SENDERS * (nodes - 1) < size.max_wal_senders <= SENDERS_MAX
    assert BACKUP_SENDERS * (nodes - 1) < size.max_replication_slots <= SENDERS_MAX
    sessions = 16 * len(topology.hosts_with("client"))
    assert sessions + nodes < size.max_connections <= SENDERS_MAX


@given(st.integers(1, HOSTS_MAX))
def test_wal_segments_have_a_legal_size(nodes: int) -> None:
    """initdb: a power of 2 from 1 to 1024 MB; ``max_wal_size`` at least two of them, and
    ``min_wal_size``, which stays at 80 MB."""
    size = server_size(topology_of(nodes, 1))
    assert size.wal_segment_mb in {1, 2, 4, 8, 16}
    assert size.max_wal_size_mb >= 80 >= 2 * size.wal_segment_mb
