"""Drops packets, and proves by test packets that they vanish: what the faults of links share.

A fault says which packets vanish (``DropRule``) and which must not. Test packets go the same ways
before and after: what arrived before and does not now is the proof. Where nothing arrived before,
another fault keeps it away already, and the words say so.

Test packets go to and from hosts that nothing else strikes (``Stage.struck``): between two hosts
that are struck at once, more vanishes than each fault says. Where all hosts are struck there are no
such hosts: then what vanishes is proved between the struck, and nothing is left to show what
passes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from chaos.faults.base import Act, P, Stage
from chaos.faults.targets import Victim
from cluster.errors import ClusterError
from cluster.substrates.base import DropRule, Filterable, PacketProbe, Probing
from cluster.topology.model import Topology

NEEDS = (Filterable, Probing)
"""The abilities that ``drop`` uses."""

ARRIVAL_TIMEOUT_S = 2.0
"""For test packets that may arrive: longer than any delay between sites. They are waited for no
longer than it takes, unless some never do."""
SILENCE_S = 0.3
"""For test packets that must not, at least: what arrives does so in a few milliseconds, unless the
link is slow."""
FOR_A_SHARE = 1000
"""Test packets each way where some get through: of so many, 1 % loses none once in 20,000 tries."""
FOR_ANY = 100
"""Test packets where one must get through: of so many one does, on a link that loses 90 % too."""
SIGMAS = 5.0
"""A share that is further off than so many standard deviations is no chance (1 in 2 million)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Packets that vanish, and in words which."""

    words: str
    """``to db-paris``."""
    rule: DropRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a fault does to packets."""

    name: str
    """Of the rules, on the substrate: another cut has another name."""
    ways: tuple[Way, ...]
    """What vanishes."""
    spared: tuple[DropRule, ...] = field(default=())
    """Ways that go on: what passed there before must pass after."""


async def drop(stage: Stage, cut: Cut) -> str:
    """Put a cut in force; the proof of it, in words.

    Raises:
        ClusterError: test packets did not vanish as they should, or others vanished too.
    """
    topology, struck = stage.cluster.substrate.topology, stage.struck
    apart = [_probes(way.rule, topology, struck) for way in cut.ways]
    ways = [
        probes or _probes(way.rule, topology) for way, probes in zip(cut.ways, apart, strict=True)
    ]
    spared = [
        replace(probe, packets=FOR_ANY)
        for probe in chain.from_iterable(_probes(rule, topology, struck) for rule in cut.spared)
    ]
    begin_s = time.monotonic()
    *before, passed = await _count(stage, [*ways, spared], timeout_s=ARRIVAL_TIMEOUT_S)
    took_s = time.monotonic() - begin_s
    # What would arrive late would do so in as long as it took before; less where some never did.
    silence_s = SILENCE_S if took_s > ARRIVAL_TIMEOUT_S else max(SILENCE_S, 3 * took_s)
    await stage.able(Filterable).drop_packets(cut.name, [way.rule for way in cut.ways])
    after = await _count(stage, ways, timeout_s=silence_s)
    proofs = [
        proof(
            way,
            sent=sum(one.packets for one in probes),
            before=sum(was),
            after=sum(now),
            is_apart=bool(alone),
        )
        for way, probes, was, now, alone in zip(cut.ways, ways, before, after, apart, strict=True)
    ]
    wanted = [probe for probe, was in zip(spared, passed, strict=True) if was]
    [passes] = await _count(stage, [wanted], timeout_s=ARRIVAL_TIMEOUT_S)
    if lost := [probe for probe, now in zip(wanted, passes, strict=True) if not now]:
        one = lost[0]
        words = f"from {one.source} to {one.target} nothing arrives either, and it should go on"
        raise ClusterError(f"{cut.name}: {words}")
    if wanted:
        return "; ".join((*proofs, "the rest passes"))
    no_peer = cut.spared and not spared
    return "; ".join((*proofs, *(["every other host is struck too"] if no_peer else [])))


async def lift(stage: Stage, cut: Cut) -> str:
    """Lift it; in words."""
    await stage.able(Filterable).pass_packets(cut.name)
    return f"packets pass again {' and '.join(way.words for way in cut.ways)}"


CutOf = Callable[[Victim, P, Topology], Cut]
"""What a fault drops of a victim's packets, with its parameters, in a topology."""


def dropping(cut_of: CutOf[P]) -> Act[P]:
    """The strike of a fault that is such a cut, and nothing else."""

    async def strike(stage: Stage, victim: Victim, params: P) -> str:
        return await drop(stage, cut_of(victim, params, stage.cluster.substrate.topology))

    return strike


def lifting(cut_of: CutOf[P]) -> Act[P]:
    """Its undoing."""

    async def undo(stage: Stage, victim: Victim, params: P) -> str:
        return await lift(stage, cut_of(victim, params, stage.cluster.substrate.topology))

    return undo


async def seen_silent(stage: Stage, ways: Sequence[Way]) -> str:
    """That ways are silent now, in words; empty where the substrate has no test packets.

    Raises:
        ClusterError: something arrives.
    """
    substrate = stage.cluster.substrate
    if not isinstance(substrate, Probing):
        return ""
    sent = [_probes(way.rule, substrate.topology) for way in ways]
    for way, arrived in zip(ways, await _count(stage, sent, timeout_s=SILENCE_S), strict=True):
        if any(arrived):
            raise ClusterError(f"test packets {way.words} still arrive: {sum(arrived)}")
    packets = sum(probe.packets for probe in chain.from_iterable(sent))
    return f"of {packets} test packets {' and '.join(way.words for way in ways)} none arrives"


def proof(way: Way, *, sent: int, before: int, after: int, is_apart: bool = True) -> str:
    """What test packets prove about a way, in words. Pure.

    Args:
        way: which.
        sent: how many were sent before, and again after.
        before, after: how many of them arrived.
        is_apart: nothing else struck their other ends meanwhile; else more may vanish.

    Raises:
        ClusterError: they prove that the fault does not bite.
    """
    percent = way.rule.percent
    lost = before - after
    if before == 0:
        return f"of {sent} test packets {way.words} none arrives, and none did before"
    if percent >= 100:
        if after:
            raise ClusterError(f"of {sent} test packets {way.words} {after} still arrive")
        return f"of {sent} test packets {way.words} none arrives ({before} before)"
    share = percent / 100
    off = SIGMAS * math.sqrt(before * share * (1 - share))
    expected = before * share
    too_many = is_apart and lost > expected + off + (sent - before)
    if lost < 1 or lost < expected - off - (sent - before) or too_many:
        raise ClusterError(
            f"of {before} test packets {way.words} {lost} vanish, where {percent:g} % should"
        )
    return f"of {before} test packets {way.words} {lost} vanish"


def both_ways(
    victim: Victim,
    *,
    elsewhere: Sequence[str] = (),
    ports: Sequence[int] = (),
    percent: float = 100,
) -> tuple[Way, Way]:
    """What the hosts of a victim are sent, and what they send.

    Args:
        victim: whose hosts.
        elsewhere: the others; none: all others.
        ports: of these services only; none: all packets.
        percent: how many of them.
    """
    hosts, away, of = victim.hosts, tuple(elsewhere), tuple(ports)
    there = DropRule(sources=away, targets=hosts, ports=of, percent=percent)
    back = DropRule(sources=hosts, targets=away, ports=of, percent=percent)
    return (
        Way(words=f"to {victim.name}", rule=there),
        Way(words=f"from {victim.name}", rule=back),
    )


def others(topology: Topology, hosts: Iterable[str]) -> tuple[str, ...]:
    """All hosts but these."""
    named = frozenset(hosts)
    return tuple(host.name for host in topology.hosts if host.name not in named)


def _probes(rule: DropRule, topology: Topology, struck: Collection[str] = ()) -> list[PacketProbe]:
    """Test packets that a rule concerns: every source and every target has a part in them, but for
    those that are struck. Empty where these are all of its sources or targets."""

    def able(hosts: Sequence[str]) -> list[str]:
        return [host for host in hosts if host not in struck]

    sources = able(rule.sources or others(topology, rule.targets))
    targets = able(rule.targets or others(topology, rule.sources))
    if not sources or not targets:
        return []
    pairs = [
        (sources[index % len(sources)], targets[index % len(targets)])
        for index in range(max(len(sources), len(targets)))
    ]
    ports = rule.ports or (0,)
    packets = 1 if rule.percent >= 100 else math.ceil(FOR_A_SHARE / len(pairs) / len(ports))
    return [
        PacketProbe(source=source, target=target, port=port, packets=packets)
        for source, target in pairs
        for port in ports
    ]


async def _count(
    stage: Stage, sent: Sequence[Sequence[PacketProbe]], *, timeout_s: float
) -> list[tuple[int, ...]]:
    """How many packets of each probe arrive, in groups as they were given."""
    flat = list(chain.from_iterable(sent))
    if not flat:
        return [() for _ in sent]
    arrived = iter(await stage.able(Probing).count_arrivals(flat, timeout_s=timeout_s))
    return [tuple(next(arrived) for _ in group) for group in sent]
