"""What a topology is: sites, their hosts, and the cluster that stands on them. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cluster.errors import TopologyError
from cluster.topology.proxies import PLAIN_PROXIES, ProxySettings
from cluster.topology.settings import (
    ClusterSettings,
    SyncMode,
    problems_of_idle_witness,
    problems_of_settings,
    problems_of_witness,
)
from cluster.topology.tags import NO_TAGS, Tags, TagsOf
from cluster.topology.wan import Wan, pairs

__all__ = [
    "ClockKind",
    "ClusterSettings",
    "DiskKind",
    "Host",
    "HostRole",
    "Site",
    "SyncMode",
    "Topology",
]

HostRole = Literal["etcd", "postgres", "client", "haproxy", "pgbouncer"]
DiskKind = Literal["plain", "layered"]
"""``plain``: nothing of it is ever lost. ``layered``: served by a process of its host, so that it
loses with the power what was not synced, and can be broken (cluster/substrates/lab/disk)."""
ClockKind = Literal["machine", "settable"]
"""``machine``: that of the machine below. ``settable``: the wall clock of Patroni and PostgreSQL
can be put wrong (cluster/substrates/lab/clocks.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine, and what runs on it."""

    name: str
    roles: tuple[HostRole, ...]
    disk: DiskKind = "plain"
    clock: ClockKind = "machine"
    tags: Tags = NO_TAGS
    """What Patroni may do with its PostgreSQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A data centre."""

    name: str
    hosts: tuple[Host, ...]
    standby: bool = False
    """Its PostgreSQL are a standby cluster, with an etcd of its own: Patroni's ``standby_cluster``.
    It follows the primary of the other sites, and is promoted by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Sites and the cluster on them; or two clusters, one that leads and one that stands by."""

    name: str
    title: str
    sites: tuple[Site, ...]
    cluster: ClusterSettings
    wan: Wan = field(default_factory=Wan)
    """The links between the sites."""
    proxies: ProxySettings = PLAIN_PROXIES
    """How its HAProxy and PgBouncer are configured, if hosts have them."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every host, site by site."""
        return tuple(host for site in self.sites for host in site.hosts)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the hosts that run PostgreSQL."""
        return tuple(host.name for host in self.hosts_with("postgres"))

    @property
    def main(self) -> Topology:
        """The cluster that leads, alone: without the sites of the standby cluster."""
        return self._only(is_standby=False) if self.standby else self

    @property
    def standby(self) -> Topology | None:
        """The standby cluster alone; None where there is none. It has the name of the main one in
        an etcd of its own, so that applications which know its members follow its promotion."""
        has_one = any(site.standby for site in self.sites)
        return self._only(is_standby=True) if has_one else None

    def _only(self, *, is_standby: bool) -> Topology:
        sites = tuple(
            replace(site, standby=False) for site in self.sites if site.standby == is_standby
        )
        return replace(self, sites=sites)

    def cluster_of(self, host: str) -> Topology:
        """The cluster that a host belongs to, alone."""
        standby = self.standby
        return standby if standby is not None and self.site_of(host).standby else self.main

    def swapped(self) -> Topology:
        """A copy in which the standby cluster leads, and the other one stands by."""
        return replace(
            self, sites=tuple(replace(site, standby=not site.standby) for site in self.sites)
        )

    @property
    def tags(self) -> TagsOf:
        """The tags of the hosts that have some."""
        return {host.name: host.tags for host in self.hosts if host.tags != NO_TAGS}

    def hosts_with(self, role: HostRole) -> tuple[Host, ...]:
        """The hosts that have a role."""
        return tuple(host for host in self.hosts if role in host.roles)

    def host(self, name: str) -> Host:
        """A host by its name; KeyError when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def site_of(self, host: str) -> Site:
        """The site of a host; KeyError when there is none."""
        for site in self.sites:
            if any(other.name == host for other in site.hosts):
                return site
        raise KeyError(host)

    @property
    def witness_hosts(self) -> tuple[Host, ...]:
        """Where witnesses stand, if there are any: one in each site that has etcd, beside it."""
        sites = self.main.sites
        etcd = ([host for host in site.hosts if "etcd" in host.roles] for site in sites)
        return tuple(hosts[0] for hosts in etcd if hosts)

    @property
    def has_layered_disks(self) -> bool:
        """A process serves the disk of a host."""
        return any(host.disk == "layered" for host in self.hosts)

    def with_layered_disks(self) -> Topology:
        """A copy in which every host with PostgreSQL has a layered disk."""
        return self._with_nodes(lambda host: replace(host, disk="layered"))

    @property
    def has_settable_clocks(self) -> bool:
        """The clock of a host can be put wrong."""
        return any(host.clock == "settable" for host in self.hosts)

    def with_settable_clocks(self) -> Topology:
        """A copy in which the clock of every host with PostgreSQL can be put wrong."""
        return self._with_nodes(lambda host: replace(host, clock="settable"))

    def _with_nodes(self, changed: Callable[[Host], Host]) -> Topology:
        """A copy with its hosts with PostgreSQL changed."""
        sites = tuple(
            replace(
                site,
                hosts=tuple(
                    changed(host) if "postgres" in host.roles else host for host in site.hosts
                ),
            )
            for site in self.sites
        )
        return replace(self, sites=sites)

    def with_postgresql(self, parameters: Mapping[str, str]) -> Topology:
        """A copy with these parameters of PostgreSQL besides its own."""
        own = self.cluster
        both = {**own.postgresql, **parameters}
        return replace(self, cluster=replace(own, postgresql=both))

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """The two sites of every link."""
        return tuple(pairs(site.name for site in self.sites))

    def rtt_ms_max(self, role: HostRole) -> float:
        """The longest round trip between two sites that have the role, with its jitter."""
        having = [s.name for s in self.sites if any(role in host.roles for host in s.hosts)]
        qualities = [self.wan.between(first, second) for first, second in pairs(having)]
        return max((one.rtt_ms + one.jitter_ms for one in qualities), default=0.0)

    def with_settings(
        self,
        *,
        durability: SyncMode | None = None,
        ttl_s: int | None = None,
        loop_wait_s: int | None = None,
        retry_timeout_s: int | None = None,
        witness: bool | None = None,
    ) -> Topology:
        """A copy with other settings, as options ask for them; None keeps the topology's own.

        When ``ttl_s`` or ``loop_wait_s`` leaves no room for the topology's ``retry_timeout_s`` and
        no other is asked for, ``retry_timeout_s`` stays as it is and the change is refused.
        ``witness`` is refused where witnesses could not act; those of the topology itself stay, and
        act no more, where ``durability`` takes quorum from them.

        Raises:
            TopologyError: Patroni's rules forbid it (``problems_of_settings``).
        """
        own = self.cluster
        settings = replace(
            own,
            durability=own.durability if durability is None else durability,
            ttl_s=own.ttl_s if ttl_s is None else ttl_s,
            loop_wait_s=own.loop_wait_s if loop_wait_s is None else loop_wait_s,
            retry_timeout_s=own.retry_timeout_s if retry_timeout_s is None else retry_timeout_s,
            witness=own.witness if witness is None else witness,
        )
        problems = [
            *problems_of_settings(settings, node_count=len(self.main.nodes)),
            *problems_of_witness(settings, sites=len(self.witness_hosts)),
            *(problems_of_idle_witness(settings) if witness else ()),
        ]
        if problems:
            raise TopologyError(f"{self.name} with the settings asked for", tuple(problems))
        return replace(self, cluster=settings)


def socket_folder(disk: Path, host: Host) -> Path:
    """Where PostgreSQL's Unix socket is: on the disk, or beside one that only its host sees."""
    return disk.with_name(f"{host.name}.run") if host.disk == "layered" else disk
