"""What a campaign draws from: on each topology, the faults that can strike it, and whom. Pure.

The catalogue is made from the plugs alone: each fault says what it takes (``FaultKind.takes``), its
random parameters (``draw``) and its chances (``chances``). A new fault is drawn once it is listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.campaigns.limits import Limits
from chaos.faults.base import Family, FaultKind
from chaos.faults.registry import FAULTS
from chaos.faults.targets import (
    FORMS,
    Layout,
    Selector,
    Target,
    hosts_at_risk,
    layout_of,
    problem_of,
)
from cluster.errors import TopologyError
from cluster.substrates.base import DiskBreakable
from cluster.topology.model import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A fault, and whom it can strike on one topology."""

    kind: FaultKind[Any]
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A topology, and what can be drawn on it."""

    topology: Topology
    offers: tuple[Offer, ...]

    @property
    def layout(self) -> Layout:
        """Where its hosts are."""
        return layout_of(self.topology)

    @property
    def families(self) -> tuple[Family, ...]:
        """Those of its offers, each once."""
        return tuple(dict.fromkeys(offer.kind.family for offer in self.offers))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCatalogue:
    """Everything that a campaign draws from."""

    grounds: tuple[Ground, ...]


def make_catalogue(
    topologies: Sequence[Topology],
    limits: Limits,
    *,
    has_disks: bool = True,
    faults: Mapping[str, FaultKind[Any]] = FAULTS,
) -> FaultCatalogue:
    """The faults that the limits leave, on each topology.

    Args:
        topologies: those of the campaign.
        limits: leave families and faults out.
        has_disks: whether this machine can have disks that break.
        faults: by their keys.
    """
    kinds = [
        kind
        for kind in faults.values()
        if kind.draw is not None
        and kind.key not in limits.without
        and kind.family in limits.families
        and (has_disks or DiskBreakable not in kind.needs)
    ]
    return FaultCatalogue(
        grounds=tuple(
            Ground(topology=topology, offers=tuple(_offers(kinds, topology, limits)))
            for topology in topologies
        )
    )


def _offers(kinds: Sequence[FaultKind[Any]], topology: Topology, limits: Limits) -> Iterator[Offer]:
    layout = layout_of(topology)
    sites_max = limits.sites_at_once_max or len(layout.sites)
    for kind in kinds:
        selectors = kind.takes if kind.chances.targets is None else kind.chances.targets
        targets = tuple(
            target
            for selector in dict.fromkeys(selectors)
            for target in _targets(selector, layout)
            if problem_of(target, layout) is None
            and sites_struck(target, layout) <= sites_max
            and _is_possible(kind, target, topology)
        )
        if targets:
            yield Offer(kind=kind, targets=targets)


def _targets(selector: Selector, layout: Layout) -> Iterator[Target]:
    """The targets that a selector has in a layout: one each name, where it needs one."""
    names: Sequence[str] = ("",)
    match selector:
        case "host":
            names = layout.hosts
        case "site":
            names = tuple(layout.sites)
        case "link":
            names = [f"{one}-{other}" for one in layout.sites for other in layout.sites]
        case "site-of" | "link-of":
            names = ("primary",)
        case _ if ":" in FORMS[selector]:
            names = ()  # of names that are unknown here
    yield from (Target(selector=selector, name=name) for name in names)


def _is_possible(kind: FaultKind[Any], target: Target, topology: Topology) -> bool:
    hosts = hosts_at_risk(target, layout_of(topology))
    return bool(hosts) and kind.impossible(kind.params(), topology, hosts) is None


def sites_struck(target: Target, layout: Layout) -> int:
    """Of how many sites something is struck, at most. A link counts as one of its sites, and a
    fault of the cluster as a whole as none: it goes through Patroni, and ends no host."""
    match target.selector:
        case "cluster":
            hosts = 0
        case "dcs" | "dcs-all":
            hosts = len(layout.etcd)
        case "dcs-majority":
            hosts = len(layout.etcd) // 2 + 1
        case "replicas":
            hosts = len(layout.nodes) - 1
        case "minority":
            hosts = (len(layout.nodes) - 1) // 2
        case "majority":
            hosts = len(layout.nodes) - (len(layout.nodes) - 1) // 2
        case "all":
            hosts = len(layout.nodes)
        case _:
            hosts = 1
    return min(hosts, len(layout.sites))


def with_witness(topology: Topology) -> Topology | None:
    """The topology with witnesses; None where it cannot have some."""
    try:
        return topology.with_settings(witness=True)
    except TopologyError:
        return None
