"""Predicts the outages of a drill from topology and settings. Pure.

Follows the schedule of the faults step by step. Each step either leaves the service alone, or
interrupts it until another node leads or the process is back, or ends it until something is healed
(``cluster.topology.quorum``). ``durations`` says how long each of these takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from chaos.faults.base import Effect
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Layout, chance, resolve
from chaos.scenarios.model import FaultStep, drawn
from chaos.timing import durations
from chaos.timing.durations import Clock
from chaos.timing.model import Prediction
from chaos.wording import joined
from cluster.topology.quorum import (
    Shape,
    candidates,
    stranded_sites,
    voters,
    why_nobody_acknowledges,
    why_nobody_leads,
    why_primary_gives_up,
)

UNKNOWN: tuple[Effect, ...] = ("unpredicted", "one-way")
"""Effects of which nobody can say when the service is back."""

_Condition = Callable[[frozenset[str]], bool]
"""Whether something holds while these hosts are out of reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outage:
    """An outage from ``begin_s`` after the begin of the fault phase on."""

    begin_s: float
    found: Prediction


def predict(  # noqa: PLR0913 - all of it decides
    shape: Shape,
    clock: Clock,
    faults: Sequence[FaultStep],
    *,
    layout: Layout,
    seed: int,
    heal_s: float,
    primary: str | None = None,
) -> Prediction | None:
    """The longest outage to expect, from the fault that begins it to the first acknowledged write.

    Args:
        shape: The cluster.
        clock: Its timing settings.
        faults: The schedule of the scenario.
        layout: Where the hosts are.
        seed: Of the drill: it chooses whom a target leaves to chance.
        heal_s: Seconds from the begin of the fault phase to the heal of all that has no
            ``heal_at_s`` of its own; matters only where there is no service before.
        primary: Who leads at first; None: the one that would be the worst to lose.

    Returns:
        None when nothing is broken, or a fault is among them whose effect nobody can predict, or
        one that follows on an event, or strikes by who leads etcd, which is known only then.
    """
    faults = drawn(faults, seed)
    if any(_is_unpredictable(step) for step in faults):
        return None
    shares = set(shape.etcd) & {*shape.nodes, *shape.clients}
    if shares and any(_effect(step) == "etcd-off" for step in faults):
        return None  # the rest of its host goes on, which no set of lost hosts can say
    found = [
        _Course(shape, clock, layout, faults, seed, heal_s, first).longest()
        for first in (filter(shape.may_lead, shape.nodes) if primary is None else (primary,))
    ]
    known = [one for one in found if one is not None]
    worst = max(known, key=lambda one: one.high_s, default=None)
    if worst is None or not clock.witness:
        return worst
    stock = predict(
        shape,
        replace(clock, witness=False),
        faults,
        layout=layout,
        seed=seed,
        heal_s=heal_s,
        primary=primary,
    )
    return worst if stock is None else durations.beside_stock(worst, stock)


class _Course:
    """The schedule, step by step, with the primary and what is out of reach."""

    def __init__(  # noqa: PLR0913, PLR0917 - every argument is one of ``predict``
        self,
        shape: Shape,
        clock: Clock,
        layout: Layout,
        faults: Sequence[FaultStep],
        seed: int,
        heal_s: float,
        primary: str,
    ) -> None:
        self._shape = shape
        self._clock = clock
        self._layout = layout
        self._chance = chance(seed)
        self._steps = sorted(faults, key=lambda step: step.at_s)
        self._heal_s = heal_s
        self._primary = primary
        self._hit: list[tuple[FaultStep, frozenset[str]]] = []

    def longest(self) -> Prediction | None:
        """The longest outage; strikes that meet an outage which is not over prolong it."""
        outages: list[_Outage] = []
        for step in self._steps:
            found = self._strike(step)
            if outages and step.at_s <= outages[-1].begin_s + outages[-1].found.high_s:
                outages[-1] = _joined(outages[-1], found, step.at_s)
            else:
                outages.append(_Outage(begin_s=step.at_s, found=found))
        return max((one.found for one in outages), key=lambda one: one.high_s, default=None)

    def _strike(self, step: FaultStep) -> Prediction:
        replicas = frozenset(self._shape.nodes) - {self._primary}
        hosts = self._struck(step)
        # A node that has just gone silent still counts as a voter; one lost long before does not.
        known = replicas - self._down(step.at_s)
        effect = _effect(step)
        if effect == "none":
            return durations.goes_on("The fault interrupts nothing.", durations.SAID_BY_THE_FAULT)
        if effect == "hand-over":
            return self._handed_over(known)
        if effect == "restart":
            return self._crashed(step, hosts, known)
        if effect == "partition":
            return self._parted(step, hosts, known or replicas)
        return self._lost(step, hosts, known or replicas)

    def _struck(self, step: FaultStep) -> frozenset[str]:
        victims = resolve(step.target, self._layout, primary=self._primary, random=self._chance)
        return frozenset(host for victim in victims for host in victim.hosts)

    def _lost(self, step: FaultStep, hosts: frozenset[str], known: frozenset[str]) -> Prediction:
        """These hosts are out of reach until they are healed."""
        waited_for = self._voters(step.at_s)
        self._hit.append((step, hosts))
        if self._primary in hosts:
            return self._lost_leader(step, hosts, known)
        return self._lost_replicas(step, waited_for)

    def _voters(self, at_s: float) -> frozenset[str]:
        """The replicas that the primary's commits may wait for at a moment."""
        there = frozenset(self._shape.nodes) - self._down(at_s)
        return voters(self._shape, self._primary, there | {self._primary})

    def _parted(self, step: FaultStep, hosts: frozenset[str], known: frozenset[str]) -> Prediction:
        """These hosts reach only one another: the side without a majority of etcd is lost."""
        everybody = {*self._shape.nodes, *self._shape.etcd, *self._shape.clients}
        inside = len(hosts & set(self._shape.etcd))
        lost = hosts if inside <= len(self._shape.etcd) / 2 else frozenset(everybody) - hosts
        primary = self._primary
        found = self._lost(step, lost, known)
        there = lost & known | {primary}
        acknowledges = not self._shape.waits_for_standby or voters(self._shape, primary, there)
        if primary in lost and acknowledges and found.service == "none-until-healed":
            # It goes on serving those on its side until it gives up, a ttl later at the latest.
            low_s = max(0.0, found.low_s - self._clock.ttl_s)
            return replace(found, low_s=low_s, begins_within_s=self._clock.ttl_s)
        return found

    def _down(self, at_s: float) -> frozenset[str]:
        """The hosts that are out of reach at a moment; what is healed then is in reach."""
        return frozenset[str]().union(
            *(hosts for step, hosts in self._hit if step.at_s <= at_s < self._healed_s(step))
        )

    def _healed_s(self, step: FaultStep) -> float:
        return self._heal_s if step.heal_at_s is None else step.heal_at_s

    def _moments(self, from_s: float) -> list[float]:
        """``from_s``, and when something is healed after it."""
        heals_s = {self._healed_s(step) for step, _ in self._hit}
        return [from_s, *sorted(at_s for at_s in heals_s if at_s > from_s)]

    def _handed_over(self, known: frozenset[str]) -> Prediction:
        able = candidates(self._shape, frozenset(), self._primary, known)
        if not able:
            return durations.goes_on(
                "A switchover is refused: nobody else could take over.", durations.SWITCHOVER_SOURCE
            )
        self._primary = self._successor(able)
        return Prediction(
            low_s=0.0,
            high_s=durations.SWITCHOVER_S_MAX,
            words="A switchover hands the leader key over: no expiry is waited for, only the "
            "shutdown of the old primary and the promotion of the new one.",
            source=durations.SWITCHOVER_SOURCE,
        )

    def _crashed(self, step: FaultStep, hosts: frozenset[str], known: frozenset[str]) -> Prediction:
        """PostgreSQL died, its host and Patroni live: Patroni restarts it in place."""
        why = why_nobody_acknowledges(self._shape, self._down(step.at_s), self._primary)
        if why:
            return self._until_healed(step, self._acknowledged_again(step.at_s), why)
        if self._primary in hosts:
            found = durations.crash(
                self._clock.loop_wait_s, waits_for_standby=self._shape.waits_for_standby
            )
            return self._witnessed(found, step, hosts, self._voters(step.at_s), crashed=True)
        if not self._shape.waits_for_standby or not known:
            return durations.goes_on(
                "A commit waits for no replica, so that nobody notices.", durations.TTL_SOURCE
            )
        counting = self._voters(step.at_s)
        # Where nobody counts, anybody does; where standbys are named, one of these may be.
        if not counting & hosts or (counting - hosts and not self._shape.named_standbys):
            return durations.goes_on(durations.ANOTHER_CONFIRMS, durations.QUORUM_SOURCE)
        return Prediction(
            low_s=0.0,
            high_s=self._clock.loop_wait_s + durations.RESTART_S_MAX + durations.NOTICE_S,
            words=f"Patroni restarts the replicas at its next look (loop_wait "
            f"{self._clock.loop_wait_s:g} s); until one streams again, commits wait.",
            source=f"{durations.TTL_SOURCE}; {durations.QUORUM_SOURCE}",
        )

    def _lost_replicas(self, step: FaultStep, waited_for: frozenset[str]) -> Prediction:
        """The primary lives, and its replicas are gone."""
        down = self._down(step.at_s)
        why = why_primary_gives_up(self._shape, down)
        if why:
            back_s = self._first(
                step.at_s, lambda gone: not why_primary_gives_up(self._shape, gone)
            )
            found = self._until_healed(step, back_s, why)
            if why_nobody_acknowledges(self._shape, down, self._primary):
                return found
            # It serves until it gives up, a ttl later at the latest; a short cut is never felt.
            low_s = max(0.0, found.low_s - self._clock.ttl_s)
            return replace(found, low_s=low_s, begins_within_s=self._clock.ttl_s)
        why = why_nobody_acknowledges(self._shape, down, self._primary)
        if why:
            return self._until_healed(step, self._acknowledged_again(step.at_s), why)
        words = "The primary goes on and waits for no replica." + durations.LOSES_WHAT_WAITED
        if self._shape.waits_for_standby:
            words = durations.ANOTHER_CONFIRMS
        found = durations.goes_on(words, durations.QUORUM_SOURCE)
        if self._shape.waits_for_standby and waited_for and not waited_for - down:
            found = durations.another_is_counted(self._clock, self._healed_s(step) - step.at_s)
        elif self._shape.named_standbys and waited_for & down:
            found = durations.another_is_named(self._clock)
        return self._but_for_stranded(step, found, down)

    def _lost_leader(
        self, step: FaultStep, hosts: frozenset[str], known: frozenset[str]
    ) -> Prediction:
        """The primary's host is gone without a word, so that its key must expire."""
        at_s, before = step.at_s, self._primary
        why_not = partial(why_nobody_leads, self._shape, primary=self._primary, known=known)
        elected_s = self._first(at_s, lambda gone: not why_not(gone))
        why = why_not(self._down(at_s))
        if elected_s is None or elected_s >= self._healed_s(step):
            return self._until_healed(step, self._healed_s(step), why)
        able = candidates(self._shape, self._down(elected_s), self._primary, known)
        self._primary = self._successor(able)
        mute = why_nobody_acknowledges(self._shape, self._down(elected_s), self._primary)
        if mute:
            return self._until_healed(step, self._acknowledged_again(elected_s), mute)
        found = durations.lost_leader(
            self._clock,
            nobody_until=(why, elected_s - at_s) if why else None,
            loses_etcd=bool(hosts & set(self._shape.etcd)) and len(self._shape.etcd) > 1,
        )
        if not why:
            found = self._witnessed(
                found, step, hosts, voters(self._shape, before, known | {before})
            )
        elif self._clock.witness:
            found = durations.witnessed_later(found, elected_s - at_s)
        back_s = self._healed_s(step) - at_s
        if back_s < found.low_s:
            words = f" The host itself is back {back_s:g} s after the loss, and may lead on."
            found = replace(found, low_s=back_s, words=found.words + words)
        if not self._shape.waits_for_standby:
            found = replace(found, words=found.words + durations.LOSES_WHAT_WAITED)
        return self._but_for_stranded(step, found, self._down(at_s))

    def _witnessed(
        self,
        found: Prediction,
        step: FaultStep,
        hosts: frozenset[str],
        standbys: frozenset[str],
        *,
        crashed: bool = False,
    ) -> Prediction:
        """``found``, or what witnesses make of it: they are patient while anything else is lost,
        and act only if the winner has a standby that acknowledges."""
        down = self._down(step.at_s)
        waits_for = min(self._shape.synchronous_node_count, len(standbys))
        needed = 1 + max(len(standbys) - waits_for, waits_for)  # ``replication/witness/decide.py``
        if not self._clock.witness:
            return found
        if down - hosts or len(standbys - down) < needed:
            back_s = self._first(step.at_s, lambda gone: not gone - hosts)
            return found if back_s is None else durations.witnessed_later(found, back_s - step.at_s)
        loses_etcd = not crashed and bool(hosts & set(self._shape.etcd))
        return durations.witnessed(
            found,
            self._clock,
            loses_etcd=loses_etcd,
            crashed=crashed,
            may_hang=_effect(step) == "silence",
        )

    def _successor(self, candidates: frozenset[str]) -> str:
        """The next primary: of those that may be, the one that would be the worst to lose next."""
        return min(candidates, key=lambda node: (node not in self._shape.etcd, node))

    def _first(self, from_s: float, is_good: _Condition) -> float | None:
        return next((at_s for at_s in self._moments(from_s) if is_good(self._down(at_s))), None)

    def _acknowledged_again(self, from_s: float) -> float | None:
        return self._first(
            from_s,
            lambda gone: not why_nobody_acknowledges(self._shape, gone, self._primary),
        )

    def _but_for_stranded(
        self, step: FaultStep, found: Prediction, down: frozenset[str]
    ) -> Prediction:
        """``found``, which some sites do not get: their client is out of reach until the heal."""
        sites = stranded_sites(self._shape, down)
        if not sites:
            return found
        if _effect(step) == "partition":
            words = f"{joined(sites)} cannot reach the side that has a majority of etcd"
        else:
            words = f"the client of {', '.join(sites)} is on a host that nobody can reach"
        others = set(self._shape.clients.values()) - set(sites)
        until_s = self._healed_s(step)
        return replace(
            self._until_healed(step, until_s, words),
            sites=sites,
            elsewhere=found if others else None,
        )

    def _until_healed(self, step: FaultStep, back_s: float | None, why: str) -> Prediction:
        """No service until ``back_s``, when the heal brings back what is missing."""
        healed_s = self._heal_s if back_s is None else back_s
        low_s = max(0.0, healed_s - step.at_s)
        powered = any(
            _effect(one) == "power-off" and self._healed_s(one) <= healed_s for one, _ in self._hit
        )
        after_s = durations.after_heal_s_max(self._clock, low_s, powered=powered)
        source = durations.TTL_SOURCE if powered else durations.SILENCE_SOURCE
        return Prediction(
            low_s=low_s,
            high_s=low_s + after_s,
            words=f"No service until healed: {why}. The heal comes {low_s:g} s after the fault, "
            f"and what it brings back needs up to {after_s:g} s.",
            source=f"{durations.QUORUM_SOURCE}; {source}",
            service="none-until-healed",
        )


def _is_unpredictable(step: FaultStep) -> bool:
    return step.follows_events or step.target.needs_dcs_leader or _effect(step) in UNKNOWN


def _effect(step: FaultStep) -> Effect:
    return FAULTS[step.fault].effect(step.params)


def _joined(first: _Outage, then: Prediction, at_s: float) -> _Outage:
    """Two outages of which the second begins before the first is certainly over."""
    later_s = at_s - first.begin_s
    found = first.found
    if found.service == "goes-on" and later_s > 0:
        return _Outage(begin_s=at_s, found=then)
    if then.service == "goes-on" or then.high_s + later_s <= found.high_s:
        return first
    met_for_certain = later_s <= found.low_s
    words = then.words if found.service == "goes-on" else f"{found.words} Then: {then.words}"
    return _Outage(
        begin_s=first.begin_s,
        found=replace(
            then,
            low_s=later_s + then.low_s if met_for_certain else max(found.low_s, then.low_s),
            high_s=later_s + then.high_s,
            words=words if found.words != then.words else then.words,
        ),
    )
