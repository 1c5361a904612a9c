"""A run as checkers and reports see it: immutable, whole, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.evidence.records import (
    Event,
    FinalRead,
    Scalar,
    SiteHistory,
    TimelineEnd,
    parse_lsn,
)
from chaos.scenarios.model import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """A host of the topology, as far as a report needs it."""

    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInfo:
    """A site and its hosts."""

    name: str
    hosts: tuple[HostInfo, ...]


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
        """The PostgreSQL members, in the order of the topology."""
        return tuple(
            host.name for site in self.sites for host in site.hosts if "postgres" in host.roles
        )

    @property
    def client_sites(self) -> tuple[SiteInfo, ...]:
        """The sites that have a load process, in the order of the topology."""
        return tuple(
            site for site in self.sites if any("client" in host.roles for host in site.hosts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All the evidence of one run."""

    info: RunInfo
    events: tuple[Event, ...]
    histories: tuple[SiteHistory, ...]
    final_reads: tuple[FinalRead, ...]
    damage: tuple[str, ...] = field(default=())
    """What of the folder could not be read (file and reason): lines cut short, files missing."""

    def events_of(self, kind: str) -> tuple[Event, ...]:
        """The events of one kind, in order."""
        return tuple(event for event in self.events if event.kind == kind)

    @property
    def timeline_ends(self) -> tuple[TimelineEnd, ...]:
        """The ancestors of the surviving timeline, oldest first (from the ``timeline`` events)."""
        return tuple(
            TimelineEnd(
                timeline=int(str(event.fields["timeline"])),
                lsn=parse_lsn(str(event.fields["end_lsn"])),
            )
            for event in self.events_of("timeline")
        )
