"""A look into a running lab from another terminal: which command leads there, and with what."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.binaries import find_binaries
from cluster.etcd.member import CLIENT_PORT
from cluster.etcd.users import ROOT
from cluster.patroni.config import SUPERUSER, Passwords, etcd_login
from cluster.substrates.kind import Visit, WayIn
from cluster.substrates.lab import lab_init
from cluster.substrates.lab.network import addresses
from cluster.substrates.lab.state import STATE, disk_of
from cluster.topology.model import Topology, socket_folder

PGPASS = STATE / "pgpass"
ETCD_LOGIN = STATE / "etcd-login.env"
"""In the lab's own memory: they go with the lab."""
WITH_LOGIN = f'if [ -r {ETCD_LOGIN} ]; then . {ETCD_LOGIN}; fi; exec "$@"'


def leave_passwords(credentials: Passwords, topology: Topology) -> None:
    """Let ``psql`` in, by a password file for the superuser (PostgreSQL manual, 32.16); and, where
    etcd has users, ``patronictl`` as Patroni and ``etcdctl`` as root, by their variables."""
    PGPASS.touch(mode=0o600)
    PGPASS.write_text(f"*:*:*:{SUPERUSER}:{credentials.superuser}\n", encoding="ascii")
    if not topology.cluster.etcd_auth:
        return
    variables = {
        **etcd_login(_etcd_addresses(topology), credentials),
        "ETCDCTL_USER": f"{ROOT}:{credentials.etcd_root}",
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    ETCD_LOGIN.touch(mode=0o600)
    ETCD_LOGIN.write_text("".join(lines), encoding="ascii")


def is_lab(init_pid: int) -> bool:
    """Whether a lab's init runs under this pid, and not a process that got it later.

    A drill that is killed with SIGKILL leaves its pid in the run folder.
    """
    try:
        argv = Path(f"/proc/{init_pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return Path(lab_init.__file__).name in {Path(os.fsdecode(one)).name for one in argv}


def way_in(visit: Visit) -> WayIn:
    """Into the network of a host, with the programs of this machine."""
    environment = look_environment(
        visit.topology,
        visit.folder.resolve() / "config",
        find_binaries().pg_bindir,
        Path(sys.executable).parent,
        visit.host,
    )
    argv = look_command(visit.pid, visit.host, visit.command)
    return WayIn(argv=tuple(argv), environment=environment)


def look_command(init_pid: int, host: str, command: Sequence[str]) -> list[str]:
    """The command that runs ``command`` in the lab, in the network of ``host``.

    Args:
        init_pid: the lab's init, as the caller knows it.
        host: a host of the lab.
        command: what to run there.
    """
    enter = ["nsenter", "--target", str(init_pid), "--user", "--preserve-credentials"]
    enter += ["--net", "--mount", "--ipc", "--pid", "--"]
    return [*enter, "ip", "netns", "exec", host, "sh", "-c", WITH_LOGIN, "sh", *command]


def look_environment(
    topology: Topology, config_folder: Path, pg_bindir: Path, bin_folder: Path, host: str
) -> Mapping[str, str]:
    """What makes ``psql``, ``patronictl`` and ``etcdctl`` work there without an option."""
    node = host if host in topology.nodes else topology.nodes[0]
    return {
        "PATH": f"{bin_folder}:{pg_bindir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PGHOST": str(socket_folder(disk_of(node), topology.host(node))),
        "PGUSER": SUPERUSER,
        "PGDATABASE": "postgres",
        "PGPASSFILE": str(PGPASS),
        "PATRONICTL_CONFIG_FILE": str(config_folder / f"patroni-{node}.yml"),
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": ",".join(_etcd_addresses(topology)),
    }


def _etcd_addresses(topology: Topology) -> list[str]:
    address = addresses(topology)
    return [f"{address[one.name]}:{CLIENT_PORT}" for one in topology.hosts_with("etcd")]


def how_to_look(folder: Path, topology: Topology) -> list[str]:
    """What to tell a user whose lab stays up."""
    node = topology.nodes[0]
    return [
        "the lab stays up until Ctrl-C; from another terminal:",
        f"  bascule enter {folder} patronictl list",
        f"  bascule enter --on {node} {folder} psql -c 'TABLE pg_stat_replication'",
        f"  bascule enter {folder}",
    ]
