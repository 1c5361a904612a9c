"""Draws the faults of a run and their times. Pure.

A schedule is a **bunch** of faults that overlap, at moments that are known, and then a **chain** of
single ones, each tied to an event: the cluster is whole again, everything is healed, or another
node leads. So the times of the chain depend on the cluster, and still each strike finds what it
needs:

- a fault that is alone (``FaultKind.is_alone``) is the whole bunch, or waits until the cluster is
  whole, and the next one waits likewise; it follows no fault that a whole cluster may still have;
- the primary, or etcd's leader, is struck only where there surely is one;
- no two faults strike the same host at once: a process that is dead cannot be stopped, and no
  packet proves a second cut of a cable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from chaos.campaigns.catalogue import Ground, Offer, sites_struck
from chaos.campaigns.limits import Limits
from chaos.campaigns.times import Times
from chaos.faults.broken import broken_by
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Target, hosts_at_risk
from chaos.scenarios.model import HEALING_CUES, Cue, FaultStep
from cluster.topology.model import Topology
from cluster.topology.promises import promise
from cluster.topology.quorum import shape_of

Weighted = Sequence[tuple[Offer, float]]
Fits = Callable[[Offer, Target], bool]

EVENTS_SHARE = 1 / 3
"""Of the heals that could be tied to an event, or to the strike."""
BUNCH_MAX = 4
BEGIN_S_MAX = 5.0
GAP_S_MAX = 15.0
"""Between two strikes of a bunch: as long as the shortest lease may go on unrenewed."""
ROLE_GAP_S = 3.0
"""So soon after a replica was struck the primary leads still: Patroni gives the lead up after
``retry_timeout`` at the earliest, which is no less than 3 s."""
AFTER_EVENT_S_MAX = 5.0
LASTS_S_MIN = 0.5
"""Of a fault that lasts: the observers look five times."""


def draw_schedule(
    random: Random, ground: Ground, swarm: Weighted, limits: Limits, times: Times
) -> tuple[FaultStep, ...]:
    """From one fault to as many as the limits allow; few are more likely than many."""
    count = min(random.randint(1, limits.faults_max), random.randint(1, limits.faults_max))
    drawing = _Drawing(random, ground, swarm, limits, times)
    drawing.draw_bunch(random.randint(1, min(count, BUNCH_MAX)))
    while len(drawing.steps) < count and drawing.draw_link():
        pass
    return tuple(drawing.steps)


def moves_the_lead(topology: Topology, step: FaultStep) -> bool:
    """Whether another node surely leads some time after this strike, as long as it lasts and with
    nothing else broken."""
    effect = FAULTS[step.fault].effect(step.params)
    if effect == "hand-over":
        return True
    if effect not in {"power-off", "silence", "partition"}:
        return False
    if step.target.selector not in {"primary", "site-of"}:
        return False
    shape = shape_of(topology)
    for primary in topology.main.nodes:
        whole_site = step.target.selector == "site-of"
        hosts = [h.name for h in topology.site_of(primary).hosts] if whole_site else [primary]
        found = promise(shape, broken_by(effect, hosts), primary)
        if found.leads or found.why_no_write:
            return False
    return True


class _Drawing:
    """A schedule while it is drawn."""

    def __init__(
        self, random: Random, ground: Ground, swarm: Weighted, limits: Limits, times: Times
    ) -> None:
        self.steps: list[FaultStep] = []
        self._random = random
        self._topology = ground.topology
        self._layout = ground.layout
        self._swarm = swarm
        self._sites_max = limits.sites_at_once_max or len(self._layout.sites)
        self._times = times
        self._left_s = limits.duration_s_max

    def draw_bunch(self, count: int) -> None:
        """The faults that overlap."""
        at_s = self._times.draw_s(min(BEGIN_S_MAX, self._left_s / 4))
        ends_s = 0.0
        for _ in range(count):
            step = self._draw(self._fits_at(at_s), at_s=at_s, is_single=count == 1)
            if step is None:
                break
            self.steps.append(step)
            ends_s = max(ends_s, at_s + (step.heal_after_s or 0.0), step.heal_at_s or 0.0)
            if FAULTS[step.fault].is_alone:
                break
            at_s = round(at_s + self._times.draw_s(min(GAP_S_MAX, self._left_s / 4)), 1)
            if at_s + LASTS_S_MIN > self._left_s:
                break
        self._left_s = max(0.0, self._left_s - ends_s)

    def draw_link(self) -> bool:
        """One fault more, tied to an event; False: no time is left for one, or no fault fits."""
        if self._left_s < 2 * LASTS_S_MIN or not self.steps:
            return False
        cue = self._random.choice(self._cues())
        after_s = self._times.draw_s(min(AFTER_EVENT_S_MAX, self._left_s / 2))
        step = self._draw(self._fits_after(cue), on=cue, after_s=after_s, is_single=cue == "whole")
        if step is None:
            return False
        self._left_s = max(0.0, self._left_s - after_s - (step.heal_after_s or 0.0))
        self.steps.append(step)
        return True

    def _cues(self) -> list[Cue]:
        """The events that the next fault may follow on, and that surely come."""
        last = self.steps[-1]
        if FAULTS[last.fault].is_alone:
            return ["whole"]
        is_single = last.on == "whole" or len(self.steps) == 1
        stays_long = not FAULTS[last.fault].lasts or last.heal_on is not None
        if is_single and stays_long and moves_the_lead(self._topology, last):
            return ["whole", "healed", *HEALING_CUES]
        return ["whole", "healed"]

    def _fits_at(self, at_s: float) -> Fits:
        """What can be struck at that moment, while the bunch so far is broken."""
        broken = list(self.steps)
        if not broken:
            return lambda offer, target: True
        taken = {h for step in broken for h in hosts_at_risk(step.target, self._layout)}
        sites = sum(sites_struck(step.target, self._layout) for step in broken)
        only_replicas = {step.target.selector for step in broken} <= {"replica", "replicas"}
        leads_still = at_s - broken[0].at_s <= ROLE_GAP_S and not taken & set(self._layout.etcd)

        def fits(offer: Offer, target: Target) -> bool:
            if offer.kind.is_alone:
                return False
            if sites + sites_struck(target, self._layout) > self._sites_max:
                return False
            if target.selector == "primary":
                return only_replicas and leads_still
            is_named = target.selector in {"host", "site", "link"}
            return is_named and not taken & set(hosts_at_risk(target, self._layout))

        return fits

    def _fits_after(self, cue: Cue) -> Fits:
        """What a strike right after an event surely finds."""
        is_calm = not any(self._may_go_on_in_a_whole_cluster(step) for step in self.steps)

        def fits(offer: Offer, target: Target) -> bool:
            if cue == "whole":
                return is_calm or not offer.kind.is_alone
            if offer.kind.is_alone:
                return False
            if cue == "healed":  # the hosts have power, and Patroni need not answer yet
                asks = target.needs_primary or target.needs_dcs_leader
                effect = offer.kind.effect(offer.kind.params())
                return not asks and effect in {"power-off", "silence", "partition"}
            # Who leads now is another host than the one that is still broken.
            struck = sites_struck(self.steps[-1].target, self._layout)
            return target.selector == "primary" and struck < self._sites_max

        return fits

    def _may_go_on_in_a_whole_cluster(self, step: FaultStep) -> bool:
        """Whether a fault that lasts may still be in force when the cluster is whole: a slow link,
        or the cut of a client."""
        kind = FAULTS[step.fault]
        if not kind.stays(step.params):
            return False
        members = {*self._layout.nodes, *self._layout.etcd}
        strikes_members = bool(members & set(hosts_at_risk(step.target, self._layout)))
        effect = kind.effect(step.params)
        return not strikes_members or effect not in {"power-off", "silence", "partition"}

    def _draw(
        self,
        fits: Fits,
        *,
        at_s: float = 0.0,
        on: Cue | None = None,
        after_s: float = 0.0,
        is_single: bool,
    ) -> FaultStep | None:
        """A step with one of the offers that fit, and with a heal of its own if it lasts."""
        found = self._offer(fits)
        if found is None:
            return None
        kind, target = found[0].kind, found[1]
        assert kind.draw is not None
        params = kind.draw(self._random)
        step = FaultStep(
            fault=kind.key, target=target, at_s=at_s, params=params, on=on, after_s=after_s
        )
        if not kind.stays(params):
            return step
        lasts_s = self._times.draw_s(self._left_s - at_s - after_s, LASTS_S_MIN)
        tied = self._random.random() < EVENTS_SHARE
        if tied and is_single and moves_the_lead(self._topology, step):
            return replace(step, heal_on=self._random.choice(HEALING_CUES), heal_after_s=lasts_s)
        if tied or on is not None:
            return replace(step, heal_after_s=lasts_s)
        return replace(step, heal_at_s=round(at_s + lasts_s, 1))

    def _offer(self, fits: Fits) -> tuple[Offer, Target] | None:
        """An offer by its weight, and one of its targets that fit: each selector as often."""
        fitting = [
            (offer, weight, targets)
            for offer, weight in self._swarm
            if (targets := [target for target in offer.targets if fits(offer, target)])
        ]
        if not fitting:
            return None
        weights = [weight for _, weight, _ in fitting]
        [(offer, _, targets)] = self._random.choices(fitting, weights)
        selectors = list(dict.fromkeys(target.selector for target in targets))
        selector = self._random.choice(selectors)
        return offer, self._random.choice([one for one in targets if one.selector == selector])
