"""What a topology promises, in words: which losses it survives, which not and why. Pure.

Everything here is computed by ``promises``, the function that also judges drills: a sentence of the
linter is a claim that a drill can confirm or refute (``benchmarks/promises.py``).

A loss is **survived** when every site that has not lost its own client can write, whoever was the
primary. Whether acknowledged commits may be lost on the way is said beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from cluster.topology.model import Site, Topology
from cluster.topology.promises import Broken, Promise, promises, worst
from cluster.topology.quorum import Shape, client_of_sites, shape_of, voters, why_no_majority
from cluster.topology.trap import Trap
from cluster.topology.traps import traps

LossKind = Literal["host", "hosts", "site-power", "site-cut", "sites-power", "sites-cut"]
"""What is lost at once: a host, two hosts, a site that loses its power or is cut off, two sites."""

KINDS: Mapping[LossKind, str] = {
    "host": "any one host",
    "site-power": "the power of any one site",
    "site-cut": "the links of any one site",
    "hosts": "any two hosts",
    "sites-power": "the power of any two sites",
    "sites-cut": "the links of any two sites",
}
"""In the order in which they are told."""

SINGLE: tuple[LossKind, ...] = ("host", "site-power", "site-cut")
"""What a topology should survive; the rest is told, and good where it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something that can be lost."""

    kind: LossKind
    names: tuple[str, ...]
    """Of the hosts or the sites."""
    broken: Broken

    @property
    def words(self) -> str:
        """As a noun: ``site paris (cut off)``."""
        what = "host" if self.kind in {"host", "hosts"} else "site"
        plural = "s" if len(self.names) > 1 else ""
        how = " (power)" if self.kind.endswith("power") else ""
        how = " (cut off)" if self.kind.endswith("cut") else how
        return f"{what}{plural} {' and '.join(self.names)}{how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the topology promises of one loss."""

    loss: Loss
    survives: bool
    why: str
    """Why it does not survive it; empty where it does."""
    may_lose: str
    """Which acknowledged commits may be lost with it, in words; empty: none."""
    worst: Promise
    """For the primary that would be the worst to have then."""

    @property
    def sentence(self) -> str:
        """The claim as one sentence without a full stop."""
        end = f"; but {self.may_lose}" if self.may_lose else ""
        if self.survives:
            return f"survives the loss of {self.loss.words}{end}"
        return f"does not survive the loss of {self.loss.words}: {self.why}{end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """Everything that is said of a topology."""

    topology: Topology
    claims: tuple[Claim, ...]
    """In the order of ``KINDS``."""
    etcd: str
    """How many members of etcd may be lost, as a sentence."""
    copies: str
    """Where the copies of an acknowledged commit sit, as a sentence."""
    standby: str
    """What becomes of the standby cluster, as a sentence; empty where there is none."""
    traps: tuple[Trap, ...]

    def of(self, kind: LossKind) -> tuple[Claim, ...]:
        """The claims of one kind."""
        return tuple(one for one in self.claims if one.loss.kind == kind)

    @property
    def is_good(self) -> bool:
        """It survives any one host and any one site without losing a commit, and no trap that is
        more than a note is known in it."""
        single = [one for kind in SINGLE for one in self.of(kind)]
        kept = all(one.survives and not one.may_lose for one in single)
        return kept and all(one.is_note for one in self.traps)


def lint(topology: Topology) -> Lint:
    """Everything that is known beforehand about a topology."""
    shape = shape_of(topology)
    return Lint(
        topology=topology,
        claims=tuple(claim_of(shape, loss) for loss in losses(topology)),
        etcd=_etcd(topology, shape),
        copies=_copies(topology.main, shape),
        standby=_standby(topology),
        traps=traps(topology),
    )


def losses(topology: Topology) -> Iterator[Loss]:
    """What can be lost, in the order of ``KINDS``. Pairs of hosts are those with PostgreSQL or
    etcd: a client that is lost too changes nothing for the others."""
    counting = [host.name for host in topology.hosts if {"postgres", "etcd"} & set(host.roles)]
    sites = topology.sites
    for host in topology.hosts:
        yield Loss(kind="host", names=(host.name,), broken=Broken(dark=frozenset({host.name})))
    for site in sites:
        yield Loss(kind="site-power", names=(site.name,), broken=Broken(dark=hosts_of(site)))
    if len(sites) > 1:
        for site in sites:
            yield Loss(kind="site-cut", names=(site.name,), broken=Broken(apart=(hosts_of(site),)))
    for pair in combinations(counting, 2):
        yield Loss(kind="hosts", names=pair, broken=Broken(dark=frozenset(pair)))
    if len(sites) > 2:
        yield from _two_sites(sites)


def _two_sites(sites: tuple[Site, ...]) -> Iterator[Loss]:
    for one, other in combinations(sites, 2):
        dark = hosts_of(one) | hosts_of(other)
        names = (one.name, other.name)
        yield Loss(kind="sites-power", names=names, broken=Broken(dark=dark))
    for one, other in combinations(sites, 2):
        apart = (hosts_of(one), hosts_of(other))
        yield Loss(kind="sites-cut", names=(one.name, other.name), broken=Broken(apart=apart))


def hosts_of(site: Site) -> frozenset[str]:
    """The names of a site's hosts."""
    return frozenset(host.name for host in site.hosts)


def claim_of(shape: Shape, loss: Loss) -> Claim:
    """What the topology promises of a loss."""
    found = worst(shape, loss.broken)
    owed = [one for one in found.sites if _owed(shape, loss, one.site)]
    why = found.why_no_write or next(
        (one.why_not["write"] for one in owed if not one.serves("write")), ""
    )
    may_lose = next((one.may_lose for one in promises(shape, loss.broken) if one.may_lose), "")
    return Claim(loss=loss, survives=not why, why=why, may_lose=may_lose, worst=found)


def _owed(shape: Shape, loss: Loss, site: str) -> bool:
    """Its client is not among what is lost."""
    client = client_of_sites(shape)[site]
    broken = loss.broken
    return client not in broken.dark and not any(client in group for group in broken.apart)


def _etcd(topology: Topology, shape: Shape) -> str:
    members = len(shape.etcd)
    needed = members // 2 + 1
    spare = members - needed
    deciding = [site.name for site in topology.sites if why_no_majority(shape, hosts_of(site))]
    begin = f"etcd: {members} in all, a majority is {needed}: "
    begin += f"any {spare} may be lost" if spare else "none may be lost"
    if deciding:
        return f"{begin}; without site {_listed(deciding, 'or')} there is no majority"
    return f"{begin}, and without any one site there is a majority"


def _copies(topology: Topology, shape: Shape) -> str:
    if len(shape.nodes) == 1:
        return "copies: the data is on one host alone"
    if not shape.waits_for_standby:
        return (
            "copies: an acknowledged commit may be on the primary alone (durability async): it is "
            "lost with it until a replica has it"
        )
    nodes = frozenset(shape.nodes)
    waited_for = {node: voters(shape, node, nodes) for node in filter(shape.may_lead, shape.nodes)}
    fewest = min(map(len, waited_for.values()))
    # Where nobody counts by its tags strict mode waits for anybody: one at least.
    copies = max(1, min(shape.synchronous_node_count, fewest)) + 1
    together = [
        site.name
        for site in topology.sites
        if any(
            node in hosts_of(site) and len(counted & hosts_of(site)) >= copies - 1
            for node, counted in waited_for.items()
        )
    ]
    begin = f"copies: an acknowledged commit is on {copies} hosts at least"
    if shape.named_standbys:
        others = "1 standby" if copies == 2 else f"{copies - 1} standbys"
        begin = f"copies: an acknowledged commit is on the primary and {others} that Patroni names"
    if not topology.cluster.synchronous_mode_strict:
        begin += " while a replica is there, and else on the primary alone"
    if together:
        return f"{begin}, which can all be in site {_listed(together, 'or')}"
    return f"{begin}, and never all in one site"


def _standby(topology: Topology) -> str:
    standby = topology.standby
    if standby is None:
        return ""
    where = _listed([site.name for site in standby.sites])
    return (
        f"standby cluster: {where} follows with {len(standby.nodes)} PostgreSQL and an etcd of its "
        "own; it serves no writes until an operator promotes it, and lacks then what it had not "
        "received"
    )


def _listed(names: Iterable[str], word: str = "and") -> str:
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
