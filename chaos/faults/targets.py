"""What a fault strikes, as data: ``primary``, ``any``, ``site:paris``; and its hosts at a moment.

A ``Target`` is what a scenario says. ``resolve`` turns it into the victims: hosts, sites, or the
link between two sites. What is left to chance comes from the seed of the drill, so that the same
seed strikes the same hosts, and a prediction knows which. Who leads PostgreSQL or etcd is asked at
the moment of the strike. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from chaos.errors import ScheduleError
from cluster.topology.model import Topology

Selector = Literal[
    "primary",
    "replica",
    "replicas",
    "any",
    "minority",
    "majority",
    "all",
    "dcs-leader",
    "dcs-member",
    "dcs-majority",
    "dcs-all",
    "host",
    "site",
    "site-of",
    "replica-site",
    "link",
    "cluster",
    "dcs",
    "link-of",
]

FORMS: Mapping[Selector, str] = {
    "primary": "primary",
    "replica": "replica",
    "replicas": "replicas",
    "any": "any",
    "minority": "minority",
    "majority": "majority",
    "all": "all",
    "dcs-leader": "dcs-leader",
    "dcs-member": "dcs-member",
    "dcs-majority": "dcs-majority",
    "dcs-all": "dcs-all",
    "host": "host:NAME",
    "site": "site:NAME",
    "site-of": "site-of:primary",
    "replica-site": "replica-site",
    "link": "link:A-B",
    "cluster": "cluster",
    "dcs": "dcs",
    "link-of": "link-of:primary",
}
"""How each selector is written."""

MEMBERS: tuple[Selector, ...] = (
    "primary",
    "replica",
    "replicas",
    "any",
    "minority",
    "majority",
    "all",
    "host",
)
"""The selectors that give hosts with PostgreSQL, and any host by its name."""
DCS_HOSTS: tuple[Selector, ...] = ("dcs-leader", "dcs-member", "dcs-majority", "dcs-all")
"""The selectors that give hosts with etcd, the distributed configuration store (DCS)."""
HOSTS: tuple[Selector, ...] = (*MEMBERS[:-1], *DCS_HOSTS, "host")
"""The selectors that give hosts."""
SITES: tuple[Selector, ...] = ("site", "site-of", "replica-site")
"""The selectors that give sites."""
LINKS: tuple[Selector, ...] = ("link", "link-of")
"""The selectors that give links between two sites."""

CLUSTER = "cluster"
DCS = "dcs"
"""What a fault of all members at once, or of etcd as a whole, strikes: one victim, of that name."""

_NEVER_THE_PRIMARY: tuple[Selector, ...] = ("replica", "replicas", "replica-site")
_NEED_A_PRIMARY: tuple[Selector, ...] = ("primary", "site-of", "link-of", *_NEVER_THE_PRIMARY)
_NEED_A_DCS_LEADER: tuple[Selector, ...] = ("dcs-leader", "dcs-member")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A selector, with the name that it needs: of a host, a site, or the two ends of a link."""

    selector: Selector
    name: str = ""

    @property
    def needs_primary(self) -> bool:
        """It means no host while there is no primary."""
        return self.selector in _NEED_A_PRIMARY

    @property
    def needs_dcs_leader(self) -> bool:
        """It means no host while etcd has no leader."""
        return self.selector in _NEED_A_DCS_LEADER

    @property
    def may_be_primary(self) -> bool:
        """The primary can be among those that it strikes."""
        return self.selector not in _NEVER_THE_PRIMARY

    def __str__(self) -> str:
        return f"{self.selector}:{self.name}" if self.name else self.selector


PRIMARY = Target(selector="primary")
REPLICAS = Target(selector="replicas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the hosts are: what a target chooses from."""

    nodes: tuple[str, ...]
    """The hosts with PostgreSQL: the members."""
    sites: Mapping[str, tuple[str, ...]]
    """The hosts of each site."""
    etcd: tuple[str, ...] = ()
    """The hosts with etcd."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host, site by site."""
        return tuple(host for hosts in self.sites.values() for host in hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """What one stroke of a fault hits: a host, a site, or a link."""

    name: str
    """As events and reports call it."""
    hosts: tuple[str, ...]
    """The hosts that feel it."""


def hosts_of(victims: Iterable[Victim]) -> frozenset[str]:
    """The hosts that feel it, of all victims."""
    return frozenset(host for victim in victims for host in victim.hosts)


def layout_of(topology: Topology) -> Layout:
    """Where the hosts of a topology are; the members are those of the cluster that leads."""
    sites = {site.name: tuple(host.name for host in site.hosts) for site in topology.sites}
    main = topology.main
    etcd = tuple(host.name for host in main.hosts_with("etcd"))
    return Layout(nodes=main.nodes, sites=sites, etcd=etcd)


def parse_target(text: str) -> Target | None:
    """The target that a text names; None if it is none of ``FORMS``."""
    word, colon, name = text.partition(":")
    selector = next((known for known in FORMS if known == word), None)
    if selector is None or (":" in FORMS[selector]) != bool(colon and name):
        return None
    if (colon and not name) or (selector in {"site-of", "link-of"} and name != "primary"):
        return None
    return Target(selector=selector, name=name)


def chance(seed: int) -> Random:
    """What a drill with this seed draws its victims from, strike after strike."""
    return Random(f"{seed} targets")


def resolve(
    target: Target,
    layout: Layout,
    *,
    primary: str | None,
    random: Random,
    dcs_leader: str | None = None,
) -> tuple[Victim, ...]:
    """The hosts, sites or link that a target means now.

    Args:
        target: what the scenario says.
        layout: where the hosts are.
        primary: the host that leads, if any.
        random: is drawn from by the selectors that leave something to chance alone.
        dcs_leader: the host whose etcd leads, if any.

    Raises:
        ScheduleError: it means no host; says why.
    """
    why = problem_of(target, layout)
    if why is None and primary is None and target.needs_primary:
        why = "there is no primary"
    if why is None and dcs_leader is None and target.needs_dcs_leader:
        why = "etcd has no leader"
    if why is not None:
        raise ScheduleError(why)
    if target.selector in LINKS:
        drawn = target.selector == "link-of"
        name = _link_from(primary, layout, random) if drawn else target.name
        return (_link_of(name, layout),)
    names = _names(target, layout, primary, dcs_leader, random)
    return tuple(find_victim(name, layout) for name in names)


def problem_of(target: Target, layout: Layout) -> str | None:
    """Why a target can mean no host of this layout, for any primary; None if it can."""
    sites = f"; there are {', '.join(layout.sites)}"
    found = None
    match target.selector:
        case "host" if target.name not in layout.hosts:
            found = f"there is no host {target.name}; there are {', '.join(layout.hosts)}"
        case "site" if target.name not in layout.sites:
            found = f"there is no site {target.name}{sites}"
        case "link" if not _ends(target.name, layout):
            found = f"{target.name} is no pair of two sites{sites}"
        case "link-of" if len(layout.sites) == 1:
            found = f"there is one site, {next(iter(layout.sites))}, and so no link between two"
        case "minority" if not _minority(layout):
            found = f"of {len(layout.nodes)} PostgreSQL none is a minority"
        case "replica" if len(layout.nodes) < 2:
            found = "there is no replica"
        case "replica-site" if len(_sites_with_nodes(layout)) == 1:
            found = f"every PostgreSQL is in {_sites_with_nodes(layout)[0]}"
        case "dcs-member" if len(layout.etcd) < 2:
            found = "there is no member of etcd that does not lead"
    return found


def hosts_at_risk(target: Target, layout: Layout) -> tuple[str, ...]:
    """The hosts that a target can mean, for any primary and any draw."""
    found = layout.nodes
    match target.selector:
        case "host":
            found = (target.name,)
        case "site":
            found = layout.sites[target.name]
        case "site-of" | "replica-site":
            having = _sites_with_nodes(layout)
            found = tuple(host for site in having for host in layout.sites[site])
        case "link":
            found = tuple(h for site in _ends(target.name, layout) for h in layout.sites[site])
        case "link-of":
            found = layout.hosts
        case "dcs" | "dcs-leader" | "dcs-member" | "dcs-majority" | "dcs-all":
            found = layout.etcd
    return found


def find_victim(name: str, layout: Layout) -> Victim:
    """A victim by its name: a site is all of its hosts, a link those of its two sites, ``cluster``
    and ``dcs`` all members of it; any other name is a host."""
    if name in layout.sites:
        return Victim(name=name, hosts=layout.sites[name])
    if name in layout.hosts:
        return Victim(name=name, hosts=(name,))
    if name in (CLUSTER, DCS):
        return Victim(name=name, hosts=layout.nodes if name == CLUSTER else layout.etcd)
    return _link_of(name, layout) if _ends(name, layout) else Victim(name=name, hosts=(name,))


def _link_from(primary: str | None, layout: Layout, random: Random) -> str:
    """A link of the primary's site: to another one that has PostgreSQL, where there is one."""
    [here] = [site for site, hosts in layout.sites.items() if primary in hosts]
    there = [site for site in layout.sites if site != here]
    having = [site for site in there if set(layout.sites[site]) & set(layout.nodes)]
    return f"{here}-{random.choice(having or there)}"


def _link_of(name: str, layout: Layout) -> Victim:
    ends = _ends(name, layout)
    return Victim(name=name, hosts=tuple(host for site in ends for host in layout.sites[site]))


def link_ends(name: str, layout: Layout) -> tuple[str, ...]:
    """The two sites of a link, in the order of its name; empty if there is no such link."""
    return _ends(name, layout)


def _names(
    target: Target, layout: Layout, primary: str | None, dcs_leader: str | None, random: Random
) -> Sequence[str]:
    if target.selector in DCS_HOSTS:
        return _names_of_etcd(target.selector, layout.etcd, dcs_leader, random)
    nodes = layout.nodes
    found: Sequence[str]
    match target.selector:
        case "primary":
            found = [primary] if primary else []
        case "replica":
            found = [random.choice([node for node in nodes if node != primary])]
        case "replicas":
            found = [node for node in nodes if node != primary]
        case "any":
            found = [random.choice(nodes)]
        case "minority":
            found = _drawn(nodes, _minority(layout), random)
        case "majority":
            found = _drawn(nodes, len(nodes) - _minority(layout), random)
        case "site-of":
            found = [site for site, hosts in layout.sites.items() if primary in hosts]
        case "replica-site":
            away = [s for s in _sites_with_nodes(layout) if primary not in layout.sites[s]]
            found = [random.choice(away)]
        case "all":
            found = nodes
        case _:
            found = [target.name or target.selector]
    return found


def _sites_with_nodes(layout: Layout) -> list[str]:
    """The sites that have PostgreSQL."""
    return [site for site, hosts in layout.sites.items() if set(hosts) & set(layout.nodes)]


def _names_of_etcd(
    selector: Selector, etcd: Sequence[str], leader: str | None, random: Random
) -> Sequence[str]:
    if selector == "dcs-leader":
        return [host for host in etcd if host == leader]
    if selector == "dcs-member":
        return [random.choice([host for host in etcd if host != leader])]
    if selector == "dcs-majority":
        return _drawn(etcd, len(etcd) // 2 + 1, random)
    return etcd


def _minority(layout: Layout) -> int:
    """Most of the members that are fewer than the others."""
    return (len(layout.nodes) - 1) // 2


def _drawn(hosts: Sequence[str], count: int, random: Random) -> Sequence[str]:
    """That many of the hosts, in their order."""
    drawn = random.sample(hosts, count)
    return [host for host in hosts if host in drawn]


def _ends(name: str, layout: Layout) -> tuple[str, ...]:
    """The two sites of a link; empty if the name is no pair, or could be several.

    The names of sites may have hyphens themselves: ``paris-saint-cloud``.
    """
    found = [
        (first, second)
        for first in layout.sites
        for second in layout.sites
        if first != second and f"{first}-{second}" == name
    ]
    return found[0] if len(found) == 1 else ()
