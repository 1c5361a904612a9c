"""A look into a running lab from another terminal: which command leads there, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.etcd import CLIENT_PORT
from cluster.lab.lab import STATE
from cluster.patroni import SUPERUSER, Credentials
from cluster.topology.model import Topology

PGPASS = STATE / "pgpass"
"""In the lab's own memory: it goes with the lab."""


def leave_passwords(credentials: Credentials) -> None:
    """Let ``psql`` in: a password file for the superuser (PostgreSQL manual, 32.16)."""
    PGPASS.touch(mode=0o600)
    PGPASS.write_text(f"*:*:*:{SUPERUSER}:{credentials.superuser}\n", encoding="ascii")


def look_command(init_pid: int, host: str | None, command: Sequence[str]) -> list[str]:
    """The command that runs ``command`` in the lab, in the network of ``host`` if one is named.

    Args:
        init_pid: the lab's init, as the caller knows it.
        host: a host of the lab, None for the lab itself.
        command: what to run there.
    """
    enter = ["nsenter", "--target", str(init_pid), "--user", "--preserve-credentials"]
    enter += ["--net", "--mount", "--ipc", "--pid", "--"]
    place = ["ip", "netns", "exec", host] if host else []
    return [*enter, *place, *command]


def look_environment(
    topology: Topology, config_folder: Path, pg_bindir: Path, bin_folder: Path, host: str | None
) -> Mapping[str, str]:
    """What makes ``psql``, ``patronictl`` and ``etcdctl`` work there without an option."""
    node = host if host in topology.nodes else topology.nodes[0]
    return {
        "PATH": f"{bin_folder}:{pg_bindir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PGHOST": str(STATE / node),
        "PGUSER": SUPERUSER,
        "PGDATABASE": "postgres",
        "PGPASSFILE": str(PGPASS),
        "PATRONICTL_CONFIG_FILE": str(config_folder / f"patroni-{node}.yml"),
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": f"127.0.0.1:{CLIENT_PORT}",
    }


def how_to_look(folder: Path, topology: Topology) -> list[str]:
    """What to tell a user whose lab stays up."""
    node = topology.nodes[0]
    return [
        "the lab stays up until Ctrl-C; from another terminal:",
        f"  bascule enter --on {node} {folder} psql -c 'TABLE pg_stat_replication'",
        f"  bascule enter --on {node} {folder} patronictl list",
        f"  bascule enter {folder}",
    ]
