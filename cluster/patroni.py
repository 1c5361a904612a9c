"""Patroni's configuration, generated from the topology, and its process.

Passwords come to Patroni through its environment (Patroni docs, ENVIRONMENT), so that the file can
be kept in the run's folder.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cluster.etcd import CLIENT_PORT
from cluster.substrate import Substrate, Unit
from cluster.topology.model import ClusterSettings

UNIT = "patroni"
REST_PORT = 8008
POSTGRES_PORT = 5432
SUPERUSER = "postgres"

BOOT_LOOP_WAIT_S = 1
"""While the cluster is raised; the topology's own value is in force before anything is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The cluster's passwords: made anew for every lab, never written down."""

    superuser: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    replication: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    rewind: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)


def dynamic_settings(settings: ClusterSettings) -> dict[str, object]:
    """The part of Patroni's configuration that lives in the DCS (Patroni docs, dynamic
    configuration)."""
    synchronous = settings.durability == "quorum"
    return {
        "ttl": settings.ttl_s,
        "loop_wait": settings.loop_wait_s,
        "retry_timeout": settings.retry_timeout_s,
        "maximum_lag_on_failover": settings.maximum_lag_on_failover_bytes,
        "primary_start_timeout": settings.primary_start_timeout_s,
        "synchronous_mode": "quorum" if synchronous else False,
        "synchronous_mode_strict": synchronous,
        "synchronous_node_count": settings.synchronous_node_count,
    }


def render_config(substrate: Substrate, host: str, pg_bindir: Path) -> dict[str, object]:
    """The configuration file of the member on ``host``."""
    topology = substrate.topology
    address = substrate.address(host)
    disk = substrate.data_folder(host)
    etcd_hosts = [
        f"{substrate.address(member.name)}:{CLIENT_PORT}" for member in topology.hosts_with("etcd")
    ]
    return {
        "scope": topology.cluster.scope,
        "namespace": "/service/",
        "name": host,
        "restapi": {
            "listen": f"0.0.0.0:{REST_PORT}",
            "connect_address": f"{address}:{REST_PORT}",
        },
        "etcd3": {"hosts": etcd_hosts},
        "bootstrap": _bootstrap(topology.cluster),
        "postgresql": {
            "listen": f"0.0.0.0:{POSTGRES_PORT}",
            "connect_address": f"{address}:{POSTGRES_PORT}",
            "data_dir": str(disk / "pgdata"),
            "bin_dir": str(pg_bindir),
            "pgpass": str(disk / "pgpass"),
            "use_unix_socket": True,
            "authentication": {
                "superuser": {"username": SUPERUSER},
                "replication": {"username": "replicator"},
                "rewind": {"username": "rewind"},
            },
            "parameters": {"unix_socket_directories": str(disk)},
            "basebackup": [{"checkpoint": "fast"}, "no-sync"],
            "pg_hba": [
                "local all all scram-sha-256",
                "host replication replicator all scram-sha-256",
                "host all all all scram-sha-256",
            ],
        },
    }


def _bootstrap(settings: ClusterSettings) -> dict[str, object]:
    """What the member that makes the cluster makes of it."""
    dcs = dynamic_settings(settings)
    dcs["loop_wait"] = BOOT_LOOP_WAIT_S
    dcs["postgresql"] = {"use_pg_rewind": True, "use_slots": True, "parameters": _parameters()}
    # The lab's disks are in memory: there is nothing to sync.
    initdb = [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums", "no-sync"]
    return {"dcs": dcs, "initdb": initdb}


def _parameters() -> dict[str, object]:
    """PostgreSQL settings of the whole cluster."""
    return {
        "max_connections": 100,
        "shared_buffers": "32MB",
        "password_encryption": "scram-sha-256",
        "wal_keep_size": "256MB",
        "log_line_prefix": "%m [%p] %q%u@%h ",
        "log_connections": "off",
        "log_checkpoints": "on",
    }


def patroni_unit(config: Path, credentials: Credentials) -> Unit:
    """The process of a member."""
    return Unit(
        name=UNIT,
        argv=(sys.executable, "-m", "cluster.patroni_daemon", str(config)),
        secrets={
            "PATRONI_SUPERUSER_PASSWORD": credentials.superuser,
            "PATRONI_REPLICATION_PASSWORD": credentials.replication,
            "PATRONI_REWIND_PASSWORD": credentials.rewind,
        },
    )
