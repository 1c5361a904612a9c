"""HAProxy as a process of a host: one port leads to the primary, another one to the replicas.

Its configuration has the shape of Patroni's own template (``haproxy.cfg`` of its repository, and
Patroni docs, REST API, "Health check endpoints"): TCP, checked by HTTP at the REST API of every
member, where 200 means that it has the role.
"""

from __future__ import annotations

from pathlib import Path

from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.substrates.base import Process, Substrate

UNIT = "haproxy"
PRIMARY_PORT = 5000
REPLICAS_PORT = 5001
"""As in Patroni's template and in ``docker-compose.yml``."""
CONNECTIONS_MAX = 200


def render_config(substrate: Substrate) -> str:
    """``haproxy.cfg``, the same on every host that has it."""
    topology = substrate.topology
    settings = topology.proxies
    after = " on-marked-down shutdown-sessions" if settings.shutdown_sessions else ""
    checks = (
        f"inter {settings.check_interval_s}s fall {settings.check_fall} rise {settings.check_rise}"
    )
    servers = [
        f"    server {node} {substrate.address(node)}:{POSTGRES_PORT} check port {REST_PORT}"
        for node in topology.nodes
    ]
    return "\n".join(
        [
            "global",
            f"    maxconn {CONNECTIONS_MAX}",
            "",
            "defaults",
            "    mode tcp",
            "    retries 2",
            "    timeout connect 4s",
            "    timeout client 30m",
            "    timeout server 30m",
            "    timeout check 5s",
            f"    default-server {checks}{after}",
            *_listen("primary", PRIMARY_PORT, servers),
            *_listen("replicas", REPLICAS_PORT, servers),
            "",
        ]
    )


def _listen(name: str, port: int, servers: list[str]) -> list[str]:
    """A port, and the members that it leads to: those that answer 200 to ``/primary`` or
    ``/replica``."""
    return [
        "",
        f"listen {name}",
        f"    bind *:{port}",
        f"    option httpchk OPTIONS /{name.removesuffix('s')}",
        "    http-check expect status 200",
        *servers,
    ]


def haproxy_unit(program: Path, config: Path) -> Process:
    """The process, in the foreground: on its standard error it says which members come and go."""
    return Process(name=UNIT, argv=(str(program), "-db", "-f", str(config)))
