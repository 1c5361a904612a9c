"""Reads and writes topologies as TOML (docs/topologies.md)."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from cluster.catalogue import Catalogue, Found
from cluster.errors import TopologyError
from cluster.toml_file import Document, Table, quote, read_text
from cluster.topology.model import ClusterSettings, Durability, Host, Role, Site, Topology
from cluster.topology.rules import problems_of_topology
from cluster.topology.settings import (
    MAXIMUM_LAG_ON_FAILOVER_BYTES,
    PRIMARY_START_TIMEOUT_S,
    SYNCHRONOUS_NODE_COUNT,
)

DEFAULT = "three-sites"

ROLES: tuple[Role, ...] = get_args(Role)
DURABILITIES: tuple[Durability, ...] = get_args(Durability)

_CATALOG = Catalogue(
    kind="topology", package="cluster", folder="topologies", refuse=TopologyError, first=DEFAULT
)


def builtin_topologies() -> list[Topology]:
    """The topologies that come with Bascule, the default first."""
    return [load_builtin(name) for name in _CATALOG.names()]


def load_builtin(name: str) -> Topology:
    """A built-in topology by its name.

    Raises:
        TopologyError: there is none of that name; the message has the names.
    """
    return _read(_CATALOG.built_in(name))


def load_topology(path: Path) -> Topology:
    """A topology from a file.

    Raises:
        TopologyError: the file cannot be read or is wrong; names everything that is.
    """
    return _read(Found(text=read_text(path, TopologyError), source=str(path)))


def find_topology(name_or_path: str) -> Topology:
    """A built-in topology by its name, else a file by its path.

    Raises:
        TopologyError: there is neither, or it is wrong.
    """
    return _read(_CATALOG.find(name_or_path))


def topology_source(name: str) -> str:
    """The TOML of a built-in topology, comments included.

    Raises:
        TopologyError: there is none of that name.
    """
    return _CATALOG.built_in(name).text


def to_toml(topology: Topology) -> str:
    """A topology as TOML with every key, defaults included; ``load_topology`` reads it back."""
    settings = topology.cluster
    lines = [
        f"name = {quote(topology.name)}",
        f"title = {quote(topology.title)}",
        "",
        "[cluster]",
        f"scope = {quote(settings.scope)}",
        f"durability = {quote(settings.durability)}",
        f"ttl_s = {settings.ttl_s}",
        f"loop_wait_s = {settings.loop_wait_s}",
        f"retry_timeout_s = {settings.retry_timeout_s}",
        f"maximum_lag_on_failover_bytes = {settings.maximum_lag_on_failover_bytes}",
        f"synchronous_node_count = {settings.synchronous_node_count}",
        f"primary_start_timeout_s = {settings.primary_start_timeout_s}",
    ]
    for site in topology.sites:
        lines += ["", "[[site]]", f"name = {quote(site.name)}"]
        for host in site.hosts:
            roles = ", ".join(quote(role) for role in host.roles)
            lines += ["[[site.host]]", f"name = {quote(host.name)}", f"roles = [{roles}]"]
    return "\n".join(lines) + "\n"


def _read(found: Found) -> Topology:
    document = Document(found.text, found.source, TopologyError)
    root = document.root
    topology = Topology(
        name=root.name("name"),
        title=root.line("title"),
        cluster=_read_settings(root.table("cluster")),
        sites=tuple(_read_site(table) for table in root.tables("site")),
    )
    document.settle()
    document.settle(problems_of_topology(topology))
    return topology


def _read_settings(table: Table) -> ClusterSettings:
    return ClusterSettings(
        scope=table.name("scope"),
        durability=table.choice("durability", DURABILITIES),
        ttl_s=table.integer("ttl_s"),
        loop_wait_s=table.integer("loop_wait_s"),
        retry_timeout_s=table.integer("retry_timeout_s"),
        maximum_lag_on_failover_bytes=table.integer(
            "maximum_lag_on_failover_bytes", MAXIMUM_LAG_ON_FAILOVER_BYTES
        ),
        synchronous_node_count=table.integer("synchronous_node_count", SYNCHRONOUS_NODE_COUNT),
        primary_start_timeout_s=table.integer("primary_start_timeout_s", PRIMARY_START_TIMEOUT_S),
    )


def _read_site(table: Table) -> Site:
    return Site(
        name=table.name("name"),
        hosts=tuple(
            Host(name=host.name("name"), roles=host.choices("roles", ROLES))
            for host in table.tables("host")
        ),
    )
