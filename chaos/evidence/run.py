"""A run as checkers and reports see it: immutable, whole, read from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from chaos.evidence.access import AccessEvidence
from chaos.evidence.events import RunEvent
from chaos.evidence.reads import SiteReads
from chaos.evidence.rebuilds import Rebuild
from chaos.evidence.records import FinalRead, Scalar, SiteHistory
from chaos.evidence.restores import Restore
from chaos.faults.targets import Layout
from chaos.scenarios.model import Scenario
from cluster.topology.tags import NO_TAGS, Tags, TagsOf

E = TypeVar("E", bound=RunEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """A host of the topology, as far as a report needs it."""

    name: str
    roles: tuple[str, ...]
    tags: Tags = NO_TAGS
    """Patroni's, of its member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInfo:
    """A site and its hosts."""

    name: str
    hosts: tuple[HostInfo, ...]
    standby: bool = False
    """Its PostgreSQL and etcd are those of the standby cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """``run.json``: what was asked, of what, with which versions."""

    scenario: Scenario
    command: str
    seed: int
    started_at: str
    started_t_s: float
    topology: str
    sites: tuple[SiteInfo, ...]
    settings: Mapping[str, Scalar]
    versions: Mapping[str, str]
    substrate: Mapping[str, str]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The PostgreSQL members of both clusters, in the order of the topology."""
        return self._hosts_with("postgres", self.sites)

    @property
    def main_nodes(self) -> tuple[str, ...]:
        """Those of the cluster that leads: without those of a standby cluster."""
        return self._hosts_with("postgres", self.main_sites)

    @property
    def main_etcd(self) -> tuple[str, ...]:
        """The hosts with its etcd."""
        return self._hosts_with("etcd", self.main_sites)

    @property
    def main_sites(self) -> tuple[SiteInfo, ...]:
        """The sites without those of a standby cluster."""
        return tuple(site for site in self.sites if not site.standby)

    @staticmethod
    def _hosts_with(role: str, sites: Iterable[SiteInfo]) -> tuple[str, ...]:
        return tuple(host.name for site in sites for host in site.hosts if role in host.roles)

    @property
    def tags(self) -> TagsOf:
        """Patroni's tags, of the hosts that have some."""
        hosts = [host for site in self.sites for host in site.hosts]
        return {host.name: host.tags for host in hosts if host.tags != NO_TAGS}

    @property
    def layout(self) -> Layout:
        """Where the hosts are: what the targets of the faults chose from."""
        sites = {site.name: tuple(host.name for host in site.hosts) for site in self.sites}
        return Layout(nodes=self.main_nodes, sites=sites, etcd=self.main_etcd)

    @property
    def client_sites(self) -> tuple[SiteInfo, ...]:
        """The sites that have a load process, in the order of the topology."""
        return tuple(
            site for site in self.sites if any("client" in host.roles for host in site.hosts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the manifest of the run folder says of it (``chaos/evidence/manifest.py``)."""

    sha256: str
    """Of the manifest itself."""
    files: int = 0
    """How many files it lists."""
    problems: tuple[str, ...] = ()
    """In what the folder is not what it says: ``<file>: <what>``."""

    @property
    def holds(self) -> bool:
        """Nothing has changed since it was written."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All the evidence of one run."""

    info: RunInfo
    events: tuple[RunEvent, ...]
    histories: tuple[SiteHistory, ...]
    final_reads: tuple[FinalRead, ...]
    direct: tuple[SiteHistory, ...] = ()
    """What was written straight to the members, beside a load that goes through a proxy."""
    reads: tuple[SiteReads, ...] = ()
    """What the sites read beside their writes; none in older run folders."""
    access: AccessEvidence = field(default_factory=AccessEvidence)
    """Who was let in to what; empty where the scenario asks nothing of it."""
    restores: tuple[Restore, ...] = ()
    """What was restored beside the cluster; most scenarios restore nothing."""
    rebuilds: tuple[Rebuild, ...] = ()
    """How the cluster itself was restored, after the loss of all its data."""
    damage: tuple[str, ...] = field(default=())
    """What of the folder could not be read (file and reason): lines cut short, files missing; and
    what has changed since its manifest was written."""
    manifest: Manifest | None = None
    """None: the folder has none."""

    @property
    def has_reads(self) -> bool:
        """The load read beside its writes, or was asked to; older run folders have no reads."""
        return bool(self.info.settings.get("reads_per_s")) or bool(self.reads)

    @property
    def asks_access(self) -> bool:
        """The scenario has probes."""
        return bool(self.info.scenario.access.probes)

    def events_of(self, kind: type[E]) -> tuple[E, ...]:
        """The events of one kind, in order."""
        return tuple(event for event in self.events if isinstance(event, kind))
