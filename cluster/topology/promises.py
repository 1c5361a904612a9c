"""What a cluster can still serve while something is broken, to which sites, and why not. Pure.

``promise`` is the one place that decides what a topology is supposed to survive. The linter says it
beforehand, the judge demands it of a drill, and predictions are tested against it. The arithmetic
is that of ``quorum``.

The broken network is a set of **sides**: the hosts of a side reach one another, and nobody else. At
most one side has a majority of etcd, and only there a PostgreSQL may lead. It serves the clients of
its side; all others can be served only after a heal.

What is not modelled: a network in which A reaches B, and B reaches C, but A does not reach C.
Faults that do such things are judged by what their scenario says. Where packets go one way only no
connection can be used, so that such a cut is one like any other.
Nor is it promised that a replica without a vote (``nosync``, a cascading one) takes over: it may,
if it happens to have received enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, get_args

from cluster.topology.quorum import (
    Shape,
    candidates,
    client_of_sites,
    why_no_majority,
    why_nobody_acknowledges,
    why_nobody_leads,
)

ServiceKind = Literal["write", "read-primary", "read-replica"]
"""What a site can be served: a write; a read on the primary; a read that any server may answer,
however old its data is."""

SERVICES: tuple[ServiceKind, ...] = get_args(ServiceKind)

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What is broken at a moment. The empty value: nothing."""

    dark: frozenset[str] = NOTHING
    """The hosts without power."""
    silent: frozenset[str] = NOTHING
    """The hosts that no packet reaches or leaves; their processes live."""
    no_etcd: frozenset[str] = NOTHING
    """The hosts whose etcd alone does not answer."""
    apart: tuple[frozenset[str], ...] = ()
    """Groups of hosts; the hosts of a group reach one another, and nobody outside of it."""

    def __or__(self, other: Broken) -> Broken:
        """Both at once."""
        return Broken(
            dark=self.dark | other.dark,
            silent=self.silent | other.silent,
            no_etcd=self.no_etcd | other.no_etcd,
            apart=tuple(dict.fromkeys((*self.apart, *other.apart))),
        )

    def __bool__(self) -> bool:
        return bool(self.dark or self.silent or self.no_etcd or self.apart)

    def sides(self, hosts: AbstractSet[str]) -> Mapping[str, frozenset[str]]:
        """By host, those that it reaches, itself included; none where it has no power."""
        together: dict[tuple[bool, ...], set[str]] = {}
        for host in hosts - self.dark - self.silent:
            together.setdefault(self._groups(host), set()).add(host)
        side_of = {groups: frozenset(side) for groups, side in together.items()}
        found: dict[str, frozenset[str]] = {}
        for host in sorted(hosts):
            if host in self.dark:
                found[host] = NOTHING
            elif host in self.silent:
                found[host] = frozenset({host})
            else:
                found[host] = side_of[self._groups(host)]
        return found

    def _groups(self, host: str) -> tuple[bool, ...]:
        return tuple(host in group for group in self.apart)


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePromise:
    """What one site can be served."""

    site: str
    why_not: Mapping[ServiceKind, str]
    """Why it cannot be served, by kind of service; what is not in it can be served."""

    def serves(self, service: ServiceKind) -> bool:
        """Whether it can be served so."""
        return service not in self.why_not


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the sites can be served while something is broken."""

    primary: str
    """Who led when it broke."""
    leads: bool
    """That one goes on leading; else another is elected, or nobody."""
    why_no_write: str
    """Why no write is acknowledged anywhere; empty when there are some."""
    sites: tuple[SitePromise, ...]
    """In the order of the topology; only sites with a client."""
    may_lose: str = ""
    """What acknowledged commits can be lost, in words; empty: none."""

    def served(self, service: ServiceKind) -> frozenset[str]:
        """The sites that can be served so."""
        return frozenset(one.site for one in self.sites if one.serves(service))

    def why_not(self, site: str, service: ServiceKind) -> str:
        """Why a site cannot be served so; empty when it can, or has no client."""
        return next((one.why_not.get(service, "") for one in self.sites if one.site == site), "")


def promise(
    shape: Shape, broken: Broken, primary: str, *, known: AbstractSet[str] | None = None
) -> Promise:
    """What the sites can be served, at the latest when an election is over.

    Args:
        shape: the cluster.
        broken: what is broken.
        primary: who led when it broke.
        known: the replicas that Patroni knew when the primary was lost; None: all others. One that
            was lost long before no longer counts.
    """
    hosts = frozenset({*shape.nodes, *shape.etcd, *shape.clients})
    known = frozenset(shape.nodes) - {primary} if known is None else known
    sides = broken.sides(hosts)
    side, why_no_lead = _leading_side(shape, sides, primary, known, broken.no_etcd)
    leads = not why_no_lead and primary in side
    mute = _why_mute(shape, hosts - side, primary, known)
    sites: list[SitePromise] = []
    for site, client in client_of_sites(shape).items():
        why_not: dict[ServiceKind, str] = {}
        near = sides[client] & set(shape.nodes)
        read = why_no_lead or ("" if client in side else _why_apart(shape, broken, site, side))
        if read:
            why_not["read-primary"] = read
        if not near:
            why_not["read-replica"] = _why_out_of_reach(broken, site, client)
        elif read and not any(shape.may_be_read(node) for node in near):
            why_not["read-replica"] = f"every replica that {site} reaches is tagged noloadbalance"
        if read or mute:
            why_not["write"] = read or mute
        sites.append(SitePromise(site=site, why_not=why_not))
    may_lose = _may_lose(shape, lost=not why_no_lead and not leads)
    return Promise(
        primary=primary,
        leads=leads,
        why_no_write=why_no_lead or mute,
        sites=tuple(sites),
        may_lose=may_lose,
    )


def promises(shape: Shape, broken: Broken) -> tuple[Promise, ...]:
    """What the sites can be served, for each PostgreSQL that may be the primary when it breaks; of
    those on one side one stands for all, because they are alike, unless they have tags."""
    if shape.tags:
        leading = [node for node in shape.nodes if shape.may_lead(node)]
        return tuple(promise(shape, broken, primary) for primary in leading)
    sides = broken.sides(frozenset({*shape.nodes, *shape.etcd, *shape.clients}))
    standing_for = {sides[node]: node for node in reversed(shape.nodes)}
    return tuple(promise(shape, broken, primary) for primary in standing_for.values())


def worst(shape: Shape, broken: Broken, service: ServiceKind = "write") -> Promise:
    """The promise for the primary that would be the worst to have then: nobody is served, or the
    fewest sites, or commits can be lost, or it is lost itself."""
    return min(
        promises(shape, broken),
        key=lambda one: (
            not one.why_no_write,
            len(one.served(service)),
            not one.may_lose,
            one.leads,
        ),
    )


def always_served(shape: Shape, broken: Broken, service: ServiceKind = "write") -> frozenset[str]:
    """The sites that can be served, whoever is the primary when it breaks."""
    found = promises(shape, broken)
    return frozenset.intersection(*(one.served(service) for one in found)) if found else NOTHING


def _leading_side(
    shape: Shape,
    sides: Mapping[str, frozenset[str]],
    primary: str,
    known: AbstractSet[str],
    no_etcd: frozenset[str],
) -> tuple[frozenset[str], str]:
    """The side where a PostgreSQL leads, or may be elected; else the best side, and why not."""
    hosts = frozenset(sides)
    own = sides[primary]
    every = dict.fromkeys((own, *sides.values()))
    having = [one for one in every if one and not why_no_majority(shape, hosts - one | no_etcd)]
    if primary in own and shape.failsafe_mode and own >= set(shape.nodes):
        return own, ""
    if not having:
        best = max(every, key=lambda one: len(one & set(shape.etcd) - no_etcd))
        return best, why_no_majority(shape, hosts - best | no_etcd)
    side = own if own in having else having[0]
    if primary in side:
        return side, ""
    return side, why_nobody_leads(shape, hosts - side, primary=primary, known=known)


def _why_mute(shape: Shape, down: AbstractSet[str], primary: str, known: AbstractSet[str]) -> str:
    """Why who leads then acknowledges nothing; of several that may be elected the worst."""
    leaders = {primary} if primary not in down else candidates(shape, down, primary, known)
    whys = [why_nobody_acknowledges(shape, down, one) for one in sorted(leaders or {primary})]
    return next((why for why in whys if why), "")


def _why_out_of_reach(broken: Broken, site: str, client: str) -> str:
    if client in broken.dark:
        return f"{client}, where the client of {site} runs, has no power"
    if client in broken.silent:
        return f"{client}, where the client of {site} runs, is on a host that nobody can reach"
    return f"no PostgreSQL can be reached from {site}"


def _why_apart(shape: Shape, broken: Broken, site: str, side: frozenset[str]) -> str:
    """Why a site's client does not reach the side that goes on."""
    client = client_of_sites(shape)[site]
    if client in broken.dark | broken.silent:
        return _why_out_of_reach(broken, site, client)
    members = len(shape.etcd)
    there = len(side & set(shape.etcd))
    return f"{site} cannot reach the side that goes on, with {there} of {members} etcd members"


def _may_lose(shape: Shape, *, lost: bool) -> str:
    if not lost or shape.waits_for_standby:
        return ""
    return (
        "commits that the lost primary acknowledged and no replica had are lost: with durability "
        "async a commit waits for no replica"
    )
