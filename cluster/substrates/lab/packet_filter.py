"""Which packets the lab's routers drop: rules of nftables in the routers' namespaces.

Every packet between two hosts is forwarded by the router of the sender's site, and then by that of
the receiver's. Each rule is in force at one of them alone, so that a packet is drawn once for a
random loss: where its sources are, or, if it names none, where its targets are. A packet that is
dropped while it is forwarded vanishes in silence (nft(8), "drop"); dropped on the sender's own
host, the kernel would tell the sender.

``plan_filter`` is pure: what to tell ``nft`` in each router. ``PacketFilter`` remembers the rules
and runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import anyio

from cluster.substrates.base import DropRule
from cluster.substrates.lab import network
from cluster.topology.model import Site, Topology

TABLE = "bascule"
OF_A_THOUSAND = 1000
"""Percentages are kept to a tenth."""


class PacketFilter:
    """The rules that are in force in one lab.

    Args:
        topology: what was raised.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._rules: dict[str, tuple[DropRule, ...]] = {}
        self._in_force: Mapping[str, str] = {}
        self._changing = anyio.Lock()

    async def drop(self, name: str, rules: Sequence[DropRule]) -> None:
        """Put rules in force under a name, in place of those that it had.

        Raises:
            LabError: ``nft`` refused them.
        """
        async with self._changing:
            await self._set({**self._rules, name: tuple(rules)})

    async def lift(self, name: str) -> None:
        """Lift the rules of a name, if there are any."""
        async with self._changing:
            await self._set({key: rules for key, rules in self._rules.items() if key != name})

    async def _set(self, wanted: dict[str, tuple[DropRule, ...]]) -> None:
        """Shielded: what is remembered is in force."""
        plan = plan_filter(self._topology, [rule for rules in wanted.values() for rule in rules])
        with anyio.CancelScope(shield=True):
            for router, text in plan.items():
                if self._in_force.get(router) != text:
                    await _load(router, text)
            self._rules, self._in_force = wanted, plan


async def _load(router: str, text: str) -> None:
    """Replace a router's rules, in one transaction."""
    await network.run(["ip", "netns", "exec", router, "nft", "-f", "-"], stdin=text)


def plan_filter(topology: Topology, rules: Sequence[DropRule]) -> dict[str, str]:
    """What ``nft`` is told in the namespace of each router, so that exactly these rules hold."""
    return {network.router_of(site.name): _table(topology, site, rules) for site in topology.sites}


def _table(topology: Topology, site: Site, rules: Sequence[DropRule]) -> str:
    lines = [line for rule in rules for line in _lines(topology, site, rule)]
    # "table" makes it where it is not there yet, so that there is one to delete.
    fresh = f"table ip {TABLE}\ndelete table ip {TABLE}\n"
    if not lines:
        return fresh
    chain = "type filter hook forward priority filter; policy accept;"
    return f"{fresh}table ip {TABLE} {{ chain drops {{ {chain}\n" + "\n".join(lines) + "\n}\n}\n"


def _lines(topology: Topology, site: Site, rule: DropRule) -> Iterator[str]:
    """The lines of a rule at one router; none where it is in force at another one."""
    at = network.addresses(topology)
    here = [host.name for host in site.hosts]
    ends = rule.sources or rule.targets
    mine = [host for host in ends if host in here]
    if not mine:
        return
    words = [f"ip {'saddr' if rule.sources else 'daddr'} {_set_of(at[host] for host in mine)}"]
    if rule.sources and rule.targets:
        words.append(f"ip daddr {_set_of(at[host] for host in rule.targets)}")
    drop = "counter drop"
    if rule.percent < 100:
        share = round(rule.percent * OF_A_THOUSAND / 100)
        drop = f"numgen random mod {OF_A_THOUSAND} < {share} {drop}"
    ports = _set_of(map(str, rule.ports)) if rule.ports else ""
    matches = [f"meta l4proto {{ tcp, udp }} th {end} {ports}" for end in ("dport", "sport")]
    for match in matches if rule.ports else [""]:
        yield " ".join(word for word in (*words, match, drop) if word)


def _set_of(values: Iterable[str]) -> str:
    return f"{{ {', '.join(values)} }}"
