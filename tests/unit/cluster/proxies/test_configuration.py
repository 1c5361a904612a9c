"""HAProxy's and PgBouncer's configuration from a topology."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from cluster.errors import ClusterError
from cluster.proxies import haproxy, pgbouncer
from cluster.substrates.base import Substrate
from cluster.topology.load import load_builtin
from cluster.topology.model import Topology
from cluster.topology.proxies import ProxySettings

PROXIED = load_builtin("three-sites-proxies")
SECRET = "not for the run folder"


@dataclass(frozen=True)
class Machines:
    """Hosts that nobody raises."""

    topology: Topology

    def address(self, host: str) -> str:
        return f"{host}.example"

    def data_folder(self, host: str) -> Path:
        return Path("/disk") / host


def machines(topology: Topology = PROXIED) -> Substrate:
    return cast(Substrate, Machines(topology))


def test_haproxy_has_the_shape_of_patronis_template() -> None:
    lines = [line.strip() for line in haproxy.render_config(machines()).splitlines()]
    assert "default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions" in lines
    primary, replicas = lines.index("listen primary"), lines.index("listen replicas")
    assert primary < replicas
    assert lines[primary + 1 : primary + 4] == [
        "bind *:5000",
        "option httpchk OPTIONS /primary",
        "http-check expect status 200",
    ]
    assert lines[replicas + 1 : replicas + 3] == ["bind *:5001", "option httpchk OPTIONS /replica"]
    for node in PROXIED.nodes:
        assert lines.count(f"server {node} {node}.example:5432 check port 8008") == 2


def test_what_a_topology_says_of_haproxy_is_in_it() -> None:
    asked = ProxySettings(check_interval_s=1, check_fall=2, check_rise=1, shutdown_sessions=False)
    text = haproxy.render_config(machines(replace(PROXIED, proxies=asked)))
    assert "default-server inter 1s fall 2 rise 1\n" in text
    assert "shutdown-sessions" not in text


def test_pgbouncer_leads_to_the_haproxy_of_its_own_host() -> None:
    text = pgbouncer.render_config(machines(), "lb-orsay", "postgres")
    assert "postgres = host=lb-orsay.example port=5000 dbname=postgres\n" in text
    assert "postgres_replicas = host=lb-orsay.example port=5001 dbname=postgres\n" in text
    assert "pool_mode = transaction\n" in text
    assert "auth_file = /disk/lb-orsay/pgbouncer-users.txt\n" in text


@pytest.mark.parametrize(
    ("having", "leads_to"),
    [
        (("lb-paris", "db-paris", "app-orsay"), "lb-paris"),
        (("db-paris", "app-orsay"), "db-paris"),
        (("app-orsay",), "app-orsay"),
    ],
)
def test_pgbouncer_leads_to_the_nearest_haproxy(having: tuple[str, ...], leads_to: str) -> None:
    sites = tuple(
        replace(
            site,
            hosts=tuple(
                replace(host, roles=("haproxy",) if host.name in having else ("client",))
                for host in site.hosts
            ),
        )
        for site in PROXIED.sites
    )
    assert pgbouncer.upstream(machines(replace(PROXIED, sites=sites)), "lb-paris") == leads_to


def test_passwords_go_onto_the_hosts_disk_on_standard_input_alone() -> None:
    told: list[tuple[str, tuple[str, ...], str]] = []

    class Editable(Machines):
        async def edit_disk(self, host: str, argv: tuple[str, ...], *, stdin: str = "") -> None:
            told.append((host, argv, stdin))

    found = cast(Any, Editable(PROXIED))
    anyio.run(pgbouncer.write_users, found, "lb-paris", {"app": SECRET})
    [(host, argv, stdin)] = told
    assert (host, stdin) == ("lb-paris", f'"app" "{SECRET}"\n')
    assert SECRET not in " ".join(argv) + pgbouncer.render_config(found, host, "postgres")
    assert argv[-1] == str(pgbouncer.users_path(found, host))


def test_a_machine_whose_disks_cannot_be_written_is_told_of() -> None:
    with pytest.raises(ClusterError, match="cannot write onto the disk of lb-paris"):
        anyio.run(pgbouncer.write_users, machines(), "lb-paris", {})
