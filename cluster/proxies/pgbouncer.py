"""PgBouncer as a process of a host: a pool of connections before the nearest HAProxy.

Its configuration leaves the other timeouts at PgBouncer's own defaults (pgbouncer.org, config):
what a drill shows is what such an installation does. Who may log in is in a file on the host's own
disk, because passwords are written into no run folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.errors import ClusterError
from cluster.proxies import haproxy
from cluster.substrates.base import DiskEditable, Process, Substrate

UNIT = "pgbouncer"
PORT = 6432
"""PgBouncer's own default."""
REPLICAS = "_replicas"
"""What follows the name of a database for that of its replicas."""
CLIENTS_MAX = 200
WRITE_USERS = 'umask 077 && cat > "$0.new" && mv "$0.new" "$0"'
"""Shell: puts its standard input in place of a file, whole."""


def upstream(substrate: Substrate, host: str) -> str:
    """The host of the HAProxy that PgBouncer leads to: its own, else one of its site, else any."""
    topology = substrate.topology
    own = topology.site_of(host)
    having = [one.name for one in topology.hosts_with("haproxy")]
    near = [one.name for one in own.hosts if one.name in having]
    return next(one for one in (host, *near, *having) if one in having)


def render_config(substrate: Substrate, host: str, dbname: str) -> str:
    """``pgbouncer.ini`` of the one on ``host``."""
    address = substrate.address(upstream(substrate, host))
    ports = {dbname: haproxy.PRIMARY_PORT, f"{dbname}{REPLICAS}": haproxy.REPLICAS_PORT}
    return "\n".join(
        [
            "[databases]",
            *(
                f"{name} = host={address} port={port} dbname={dbname}"
                for name, port in ports.items()
            ),
            "",
            "[pgbouncer]",
            "listen_addr = 0.0.0.0",
            f"listen_port = {PORT}",
            "unix_socket_dir =",
            "auth_type = scram-sha-256",
            f"auth_file = {users_path(substrate, host)}",
            f"pool_mode = {substrate.topology.proxies.pool_mode}",
            f"server_login_retry = {substrate.topology.proxies.login_retry_s}",
            f"max_client_conn = {CLIENTS_MAX}",
            "",
        ]
    )


def users_path(substrate: Substrate, host: str) -> Path:
    """Who may log in, on the host's disk."""
    return substrate.data_folder(host) / "pgbouncer-users.txt"


async def write_users(substrate: Substrate, host: str, users: Mapping[str, str]) -> None:
    """Say who may log in; PgBouncer is told by SIGHUP, or when it starts.

    Args:
        substrate: has the host.
        host: has the role.
        users: passwords by user.

    Raises:
        ClusterError: it could not be written.
    """
    if not isinstance(substrate, DiskEditable):
        raise ClusterError(f"{type(substrate).__name__} cannot write onto the disk of {host}")
    lines = "".join(f'"{user}" "{password}"\n' for user, password in users.items())
    argv = ("sh", "-c", WRITE_USERS, str(users_path(substrate, host)))
    await substrate.edit_disk(host, argv, stdin=lines)


def pgbouncer_unit(program: Path, config: Path) -> Process:
    """The process, in the foreground: what it logs goes to its standard error."""
    return Process(name=UNIT, argv=(str(program), str(config)))
