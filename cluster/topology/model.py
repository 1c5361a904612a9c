"""What a topology is: sites, their hosts, and the cluster that stands on them. Values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cluster.errors import TopologyError
from cluster.topology.settings import ClusterSettings, Durability, problems_of_settings

__all__ = ["ClusterSettings", "Durability", "Host", "Role", "Site", "Topology"]

Role = Literal["etcd", "postgres", "client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine, and what runs on it."""

    name: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A data centre."""

    name: str
    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Sites and the cluster on them."""

    name: str
    title: str
    sites: tuple[Site, ...]
    cluster: ClusterSettings

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every host, site by site."""
        return tuple(host for site in self.sites for host in site.hosts)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the hosts that run PostgreSQL."""
        return tuple(host.name for host in self.hosts_with("postgres"))

    def hosts_with(self, role: Role) -> tuple[Host, ...]:
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

    def with_settings(
        self,
        *,
        durability: Durability | None = None,
        ttl_s: int | None = None,
        loop_wait_s: int | None = None,
        retry_timeout_s: int | None = None,
    ) -> Topology:
        """A copy with other settings, as options ask for them; None keeps the topology's own.

        When ``ttl_s`` or ``loop_wait_s`` leaves no room for the topology's ``retry_timeout_s`` and
        no other is asked for, ``retry_timeout_s`` stays as it is and the change is refused.

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
        )
        problems = tuple(problems_of_settings(settings, node_count=len(self.nodes)))
        if problems:
            raise TopologyError(f"{self.name} with the settings asked for", problems)
        return replace(self, cluster=settings)
