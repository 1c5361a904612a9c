"""Reads and writes topologies as TOML (docs/use/topologies.md)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

from cluster.errors import TopologyError
from cluster.toml.builtin import Catalogue, TomlText
from cluster.toml.reader import TomlDocument, TomlTable, quote, read_text
from cluster.topology.model import (
    ClockKind,
    ClusterSettings,
    DiskKind,
    Host,
    HostRole,
    Site,
    SyncMode,
    Topology,
)
from cluster.topology.proxies import PLAIN_PROXIES, PoolMode, ProxySettings
from cluster.topology.rules import problems_of_topology
from cluster.topology.settings import (
    ETCD_AUTH,
    FAILSAFE_MODE,
    MAXIMUM_LAG_ON_FAILOVER_BYTES,
    MAXIMUM_LAG_ON_SYNCNODE_BYTES,
    MEMBER_SLOTS_TTL_S,
    PRIMARY_START_TIMEOUT_S,
    SYNCHRONOUS_MODE_STRICT,
    SYNCHRONOUS_NODE_COUNT,
    USE_PG_REWIND,
    USE_SLOTS,
    WITNESS,
    WITNESS_GATE,
    StandbyChoice,
)
from cluster.topology.tags import NO_TAGS, PriorityTag, Tags
from cluster.topology.wan import (
    LOSS_PERCENT_MAX,
    PLAIN,
    RATE_MBIT_MAX,
    RATE_MBIT_MIN,
    RTT_MS_MAX,
    Link,
    LinkQuality,
    Wan,
    lines_of_quality,
)

DEFAULT = "three-sites"

ROLES: tuple[HostRole, ...] = get_args(HostRole)
DISKS: tuple[DiskKind, ...] = get_args(DiskKind)
CLOCKS: tuple[ClockKind, ...] = get_args(ClockKind)
DURABILITIES: tuple[SyncMode, ...] = get_args(SyncMode)
POOL_MODES: tuple[PoolMode, ...] = get_args(PoolMode)
CHOICES: tuple[StandbyChoice, ...] = get_args(StandbyChoice)

_CATALOG = Catalogue(
    kind="topology",
    package="cluster.topology",
    folder="builtin",
    refuse=TopologyError,
    first=DEFAULT,
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
    return _read(TomlText(text=read_text(path, TopologyError), source=str(path)))


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
        f"synchronous_mode = {quote(settings.synchronous_mode)}",
        f"failsafe_mode = {_shown(settings.failsafe_mode)}",
        f"maximum_lag_on_syncnode_bytes = {settings.maximum_lag_on_syncnode_bytes}",
        f"synchronous_mode_strict = {_shown(settings.synchronous_mode_strict)}",
        f"use_pg_rewind = {_shown(settings.use_pg_rewind)}",
        f"use_slots = {_shown(settings.use_slots)}",
        f"member_slots_ttl_s = {settings.member_slots_ttl_s}",
        f"etcd_auth = {_shown(settings.etcd_auth)}",
        f"witness = {_shown(settings.witness)}",
        f"witness_gate = {_shown(settings.witness_gate)}",
    ]
    if settings.postgresql:
        lines += ["", "[cluster.postgresql]"]
        lines += [f"{name} = {quote(value)}" for name, value in settings.postgresql.items()]
    lines += ["", "[wan]", *lines_of_quality(topology.wan.default)]
    for link in topology.wan.links:
        between = ", ".join(quote(site) for site in link.between)
        lines += ["", "[[link]]", f"between = [{between}]", *lines_of_quality(link.quality)]
    if topology.hosts_with("haproxy"):
        lines += ["", "[proxies]"]
        proxies = fields(topology.proxies)
        lines += [f"{one.name} = {_shown(getattr(topology.proxies, one.name))}" for one in proxies]
    for site in topology.sites:
        lines += ["", "[[site]]", f"name = {quote(site.name)}"]
        lines += ["standby = true"] if site.standby else []
        for host in site.hosts:
            roles = ", ".join(quote(role) for role in host.roles)
            lines += ["[[site.host]]", f"name = {quote(host.name)}", f"roles = [{roles}]"]
            lines += [f"disk = {quote(host.disk)}", f"clock = {quote(host.clock)}"]
            lines += _lines_of_tags(host.tags)
    return "\n".join(lines) + "\n"


def _lines_of_tags(tags: Tags) -> list[str]:
    given = ", ".join(f"{name} = {_shown(value)}" for name, value in tags.given.items())
    return [f"tags = {{ {given} }}"] if given else []


def _shown(value: bool | int | str) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if isinstance(value, str) else str(value)


def _read(found: TomlText) -> Topology:
    document = TomlDocument(found.text, found.source, TopologyError)
    root = document.root
    topology = Topology(
        name=root.name("name"),
        title=root.line("title"),
        cluster=_read_settings(root.table("cluster")),
        wan=_read_wan(root),
        proxies=_read_proxies(root.table("proxies")) if root.has("proxies") else PLAIN_PROXIES,
        sites=tuple(_read_site(table) for table in root.tables("site")),
    )
    document.settle()
    document.settle(problems_of_topology(topology))
    return topology


def _read_settings(table: TomlTable) -> ClusterSettings:
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
        synchronous_mode=table.choice("synchronous_mode", CHOICES, CHOICES[0]),
        failsafe_mode=table.flag("failsafe_mode", FAILSAFE_MODE),
        maximum_lag_on_syncnode_bytes=table.integer(
            "maximum_lag_on_syncnode_bytes", MAXIMUM_LAG_ON_SYNCNODE_BYTES
        ),
        synchronous_mode_strict=table.flag("synchronous_mode_strict", SYNCHRONOUS_MODE_STRICT),
        use_pg_rewind=table.flag("use_pg_rewind", USE_PG_REWIND),
        use_slots=table.flag("use_slots", USE_SLOTS),
        member_slots_ttl_s=table.integer("member_slots_ttl_s", MEMBER_SLOTS_TTL_S),
        etcd_auth=table.flag("etcd_auth", ETCD_AUTH),
        witness=table.flag("witness", WITNESS),
        witness_gate=table.flag("witness_gate", WITNESS_GATE),
        postgresql=table.parameters("postgresql") if table.has("postgresql") else {},
    )


def _read_proxies(table: TomlTable) -> ProxySettings:
    usual = PLAIN_PROXIES
    return ProxySettings(
        check_interval_s=table.integer("check_interval_s", usual.check_interval_s),
        check_fall=table.integer("check_fall", usual.check_fall),
        check_rise=table.integer("check_rise", usual.check_rise),
        shutdown_sessions=table.flag("shutdown_sessions", usual.shutdown_sessions),
        login_retry_s=table.integer("login_retry_s", usual.login_retry_s),
        pool_mode=table.choice("pool_mode", POOL_MODES, usual.pool_mode),
    )


def _read_wan(root: TomlTable) -> Wan:
    """``[wan]``, and the links that differ from it: what such a link does not say is as there."""
    default = _read_quality(root.table("wan"), PLAIN) if root.has("wan") else PLAIN
    return Wan(
        default=default,
        links=tuple(
            Link(between=table.names("between"), quality=_read_quality(table, default))
            for table in root.tables("link", optional=True)
        ),
    )


def _read_quality(table: TomlTable, default: LinkQuality) -> LinkQuality:
    rtt_ms = table.number("rtt_ms", minimum=0, maximum=RTT_MS_MAX, default=default.rtt_ms)
    return LinkQuality(
        rtt_ms=rtt_ms,
        jitter_ms=table.number(
            "jitter_ms", minimum=0, maximum=RTT_MS_MAX, default=default.jitter_ms
        ),
        loss_percent=table.number(
            "loss_percent", minimum=0, maximum=LOSS_PERCENT_MAX, default=default.loss_percent
        ),
        rate_mbit=table.number("rate_mbit", minimum=RATE_MBIT_MIN, maximum=RATE_MBIT_MAX)
        if table.has("rate_mbit")
        else default.rate_mbit,
    )


def _read_site(table: TomlTable) -> Site:
    return Site(
        name=table.name("name"),
        standby=table.flag("standby", False),
        hosts=tuple(
            Host(
                name=host.name("name"),
                roles=host.choices("roles", ROLES),
                disk=host.choice("disk", DISKS, "plain"),
                clock=host.choice("clock", CLOCKS, "machine"),
                tags=_read_tags(host.table("tags")) if host.has("tags") else NO_TAGS,
            )
            for host in table.tables("host")
        ),
    )


def _read_tags(table: TomlTable) -> Tags:
    return Tags(
        nofailover=table.flag("nofailover", False),
        nosync=table.flag("nosync", False),
        noloadbalance=table.flag("noloadbalance", False),
        clonefrom=table.flag("clonefrom", False),
        reader=table.flag("reader", False),
        failover_priority=_read_priority(table, "failover_priority"),
        sync_priority=_read_priority(table, "sync_priority"),
        replicatefrom=table.name("replicatefrom") if table.has("replicatefrom") else None,
    )


def _read_priority(table: TomlTable, key: PriorityTag) -> int | None:
    return table.integer(key, minimum=0) if table.has(key) else None
