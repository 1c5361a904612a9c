"""Patroni's configuration, generated from the topology, and its process.

Passwords come to Patroni through its environment (Patroni docs, ENVIRONMENT), so that the file can
be kept in the run's folder.
"""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.etcd.member import CLIENT_PORT
from cluster.substrates.base import Process, Substrate
from cluster.topology.model import ClusterSettings, Host, Topology, socket_folder
from cluster.topology.size import ServerSize, server_size

UNIT = "patroni"
REST_PORT = 8008
POSTGRES_PORT = 5432
SUPERUSER = "postgres"
ETCD_USER = "patroni"
"""Who Patroni is to an etcd with users."""
NAMESPACE = "/service/"
"""Before every key in the DCS; Patroni's default."""

BOOT_LOOP_WAIT_S = 1
"""While the cluster is raised; the topology's own value is in force before anything is measured."""


HBA_RULES = (
    "local all all scram-sha-256",
    "host replication replicator all scram-sha-256",
    "host all all all scram-sha-256",
)
"""``pg_hba.conf`` of every member. It is in the DCS, so that all have the same door: nothing
replicates the file, and a member's own list would go before this one (Patroni docs, dynamic
configuration)."""

STANDBY_SLOT = "standby_cluster"
SLOTS_FOR_STANDBY = {STANDBY_SLOT: {"type": "physical"}}
"""A permanent slot of the cluster that a standby cluster follows: every primary has it, also one
that was just elected (Patroni docs, dynamic configuration, ``slots``)."""

LOG_DIRECTORY = "../log"
"""From PGDATA, where PostgreSQL puts its logs if its ``logging_collector`` is on: on the same disk,
and outside of PGDATA. Below PGDATA, which is PostgreSQL's default, ``pg_rewind`` replaces them by
those of the new primary (scenario ``trail-lost-by-rewind``)."""

WITNESSED_PARAMETERS = {"wal_retrieve_retry_interval": "500ms"}
"""With witnesses: where Patroni's own look finds a dead postmaster before they do, it restarts the
server in half a second, and standbys that try again every 5 s (PostgreSQL's default) would be what
is waited for (docs/operate/witness.md)."""

GATE = Path(__file__).parents[2] / "replication" / "witness" / "gate.py"
"""A program of the product: it is run, and never imported."""
GATE_MARGIN_S = 5
"""A gate waits for longer than ``loop_wait``: a replica whose watch of etcd hangs follows so late.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """The cluster's passwords: made anew for every lab, never written down."""

    superuser: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    replication: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    rewind: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    etcd_root: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    etcd_patroni: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    etcd_witness: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    """Those of etcd count only where it has users."""


def leader_key(scope: str) -> str:
    """The key in the DCS whose value is the name of the leader (Patroni docs)."""
    return f"{NAMESPACE}{scope}/leader"


def dynamic_settings(settings: ClusterSettings) -> dict[str, object]:
    """The part of Patroni's configuration that lives in the DCS (Patroni docs, dynamic
    configuration)."""
    synchronous = settings.durability == "quorum"
    mode = "quorum" if settings.synchronous_mode == "quorum" else True
    return {
        "ttl": settings.ttl_s,
        "loop_wait": settings.loop_wait_s,
        "retry_timeout": settings.retry_timeout_s,
        "maximum_lag_on_failover": settings.maximum_lag_on_failover_bytes,
        "primary_start_timeout": settings.primary_start_timeout_s,
        "synchronous_mode": mode if synchronous else False,
        "synchronous_mode_strict": synchronous and settings.synchronous_mode_strict,
        "synchronous_node_count": settings.synchronous_node_count,
        "failsafe_mode": settings.failsafe_mode,
        "maximum_lag_on_syncnode": settings.maximum_lag_on_syncnode_bytes,
        "member_slots_ttl": settings.member_slots_ttl_s,
    }


def render_config(
    substrate: Substrate,
    host: str,
    pg_bindir: Path,
    topology: Topology | None = None,
    *,
    gate: Sequence[str] = (),
) -> dict[str, object]:
    """The configuration file of the member on ``host``.

    Args:
        substrate: where it runs.
        host: whose.
        pg_bindir: PostgreSQL's programs, as the hosts see them.
        topology: who leads and who stands by; None: the substrate's.
        gate: how the gate is run there; none: as it is here.
    """
    topology = substrate.topology if topology is None else topology
    address = substrate.address(host)
    disk = substrate.data_folder(host)
    own = topology.host(host)
    return {
        "scope": topology.cluster.scope,
        "namespace": NAMESPACE,
        "name": host,
        "restapi": {
            "listen": f"0.0.0.0:{REST_PORT}",
            "connect_address": f"{address}:{REST_PORT}",
        },
        "etcd3": _etcd(substrate, host),
        "tags": own.tags.given,
        "bootstrap": _bootstrap(substrate, topology, own),
        "postgresql": {
            "listen": f"0.0.0.0:{POSTGRES_PORT}",
            "connect_address": f"{address}:{POSTGRES_PORT}",
            "data_dir": str(disk / "pgdata"),
            "bin_dir": str(pg_bindir),
            "pgpass": str(disk / "pgpass"),
            "use_unix_socket": True,
            **_gate(substrate, host, gate or (substrate.python, "-I", "-S", str(GATE))),
            "authentication": {
                "superuser": {"username": SUPERUSER},
                "replication": {"username": "replicator"},
                "rewind": {"username": "rewind"},
            },
            "parameters": {"unix_socket_directories": str(socket_folder(disk, own))},
            "basebackup": [{"checkpoint": "fast"}, *_no_sync(own)],
        },
    }


def _etcd(substrate: Substrate, host: str) -> dict[str, object]:
    """Where the member on ``host`` finds etcd.

    A member that watches an etcd of a site that was lost hears of a new leader at its next look, up
    to ``loop_wait`` later. So with witnesses its own site's etcd goes first, and Patroni is kept
    from choosing any of etcd's members by itself, which it does unless ``use_proxies`` is set
    (``patroni/dcs/etcd.py``, ``_refresh_machines_cache``).
    """
    witness = substrate.topology.cluster.witness
    found: dict[str, object] = {"hosts": etcd_addresses(substrate, host)}
    if substrate.topology.cluster.etcd_auth:
        found["username"] = ETCD_USER
    return {**found, "use_proxies": True} if witness else found


def etcd_addresses(substrate: Substrate, host: str) -> list[str]:
    """Each member of etcd as ``address:port``, in the order in which Patroni on ``host`` asks."""
    topology = substrate.topology
    members = [member.name for member in topology.cluster_of(host).hosts_with("etcd")]
    if topology.cluster.witness:
        own = {member.name for member in topology.site_of(host).hosts}
        members.sort(key=lambda member: member not in own)
    return [f"{substrate.address(member)}:{CLIENT_PORT}" for member in members]


def _gate(substrate: Substrate, host: str, program: Sequence[str]) -> dict[str, object]:
    """The command that a winner on ``host`` waits for (docs/operate/witness-safety.md)."""
    settings = substrate.topology.cluster
    if not (settings.witness and settings.witness_gate):
        return {}
    words = [*program, "--name", host, "--scope", settings.scope]
    words += ["--namespace", NAMESPACE, "--wait-s", str(settings.loop_wait_s + GATE_MARGIN_S)]
    for address in etcd_addresses(substrate, host):
        words += ["--etcd", f"http://{address}"]
    if settings.etcd_auth:
        words += ["--user", ETCD_USER, "--password-file", gate_password_file(substrate, host)]
    return {"pre_promote": shlex.join(words)}


def gate_password_file(substrate: Substrate, host: str) -> str:
    """Where the gate on ``host`` finds the password of ``ETCD_USER``: on the disk of the host,
    beside the data, which nobody else reads. It is made by whoever starts the process."""
    return str(substrate.data_folder(host) / "etcd-password")


def _no_sync(host: Host) -> tuple[str, ...]:
    """A disk that never loses anything need not be synced: it is in memory."""
    return ("no-sync",) if host.disk == "plain" else ()


def standby_cluster(substrate: Substrate, main: Topology) -> dict[str, object]:
    """The section by which a cluster follows the primary of another one.

    It names every member of that one, and libpq finds the primary among them: Patroni adds
    ``target_session_attrs`` where there are several, and a slot (patroni/postgresql/config.py,
    ``build_recovery_params``; patroni issues 2189, 2348). Without a slot the standby leader would
    stream from whoever answers first, a replica as well.
    """
    return {
        "host": ",".join(substrate.address(node) for node in main.nodes),
        "port": POSTGRES_PORT,
        "primary_slot_name": STANDBY_SLOT,
        "create_replica_methods": ["basebackup"],
    }


def _bootstrap(substrate: Substrate, topology: Topology, host: Host) -> dict[str, object]:
    """What the member that makes the cluster makes of it."""
    dcs = dynamic_settings(topology.cluster)
    dcs["loop_wait"] = BOOT_LOOP_WAIT_S
    if topology.site_of(host.name).standby:
        dcs["standby_cluster"] = standby_cluster(substrate, topology.main)
    elif topology.standby is not None:
        dcs["slots"] = SLOTS_FOR_STANDBY
    size = server_size(topology)
    dcs["postgresql"] = {
        "use_pg_rewind": topology.cluster.use_pg_rewind,
        "use_slots": topology.cluster.use_slots,
        "pg_hba": list(HBA_RULES),
        "parameters": {
            **server_parameters(size),
            **(WITNESSED_PARAMETERS if topology.cluster.witness else {}),
            **topology.cluster.postgresql,
        },
    }
    initdb = [
        {"encoding": "UTF8"},
        {"locale": "C.UTF-8"},
        {"wal-segsize": str(size.wal_segment_mb)},
        "data-checksums",
        *_no_sync(host),
    ]
    return {"dcs": dcs, "initdb": initdb}


def server_parameters(size: ServerSize) -> dict[str, object]:
    """PostgreSQL settings of the whole cluster."""
    return {
        "max_connections": size.max_connections,
        "max_wal_senders": size.max_wal_senders,
        "max_replication_slots": size.max_replication_slots,
        "shared_buffers": f"{size.shared_buffers_mb}MB",
        "password_encryption": "scram-sha-256",
        "wal_keep_size": f"{size.wal_keep_size_mb}MB",
        "max_wal_size": f"{size.max_wal_size_mb}MB",
        "log_line_prefix": "%m [%p] %q%u@%h ",
        "log_connections": "off",
        "log_directory": LOG_DIRECTORY,
        "log_checkpoints": "on",
    }


def patroni_unit(
    config: Path, credentials: Passwords, etcd: Mapping[str, str] | None = None
) -> Process:
    """The process of a member.

    Args:
        config: its configuration file.
        credentials: the cluster's passwords.
        etcd: what it needs to log in at an etcd with users (``etcd_login``).
    """
    return Process(
        name=UNIT,
        argv=(sys.executable, "-m", "cluster.patroni.daemon", str(config)),
        secrets={
            "PATRONI_SUPERUSER_PASSWORD": credentials.superuser,
            "PATRONI_REPLICATION_PASSWORD": credentials.replication,
            "PATRONI_REWIND_PASSWORD": credentials.rewind,
            **(etcd or {}),
        },
    )


def etcd_login(addresses: Sequence[str], credentials: Passwords) -> dict[str, str]:
    """Variables by which Patroni and ``patronictl`` log in at etcd.

    Patroni heeds its password only beside the addresses (patroni/config.py,
    ``_build_environment_configuration``).
    """
    return {
        "PATRONI_ETCD3_HOSTS": ",".join(addresses),
        "PATRONI_ETCD3_USERNAME": ETCD_USER,
        "PATRONI_ETCD3_PASSWORD": credentials.etcd_patroni,
    }
