"""Draws a run: which topology and settings, which faults, when, and what must hold. Pure.

A run is drawn from ``(seed, n)`` and the catalogue alone: the same again for the same again, on any
machine. It is kept as TOML, so that it replays whatever becomes of this module; a change of what is
drawn raises ``GENERATOR``. The seed fixes the schedule, and not what the cluster makes of it.

Swarm testing (Groce et al., ISSTA 2012): each run turns whole families of faults off, and the
others have weights of their own, so that rare ones get runs in which they are common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from chaos.campaigns.catalogue import FaultCatalogue, Ground, Offer, with_witness
from chaos.campaigns.drawn_faults import draw_schedule
from chaos.campaigns.limits import Limits
from chaos.campaigns.times import Times
from chaos.errors import CampaignError
from chaos.faults.registry import FAULTS
from chaos.scenarios.model import Expectations, FaultStep, Scenario, WorkloadSpec
from chaos.workloads.registry import WORKLOADS
from cluster.topology.model import Topology
from cluster.topology.settings import SyncMode

GENERATOR = 2
"""Raised when the same seed draws something else. 2: options of workloads, settings of clients."""

STEADY_S = 3.0
"""A dozen operations a site at the least rate (``drilling.RATE_PER_S_MIN``)."""
AFTER_HEAL_S = 1.0
RECOVERY_S_MAX = 120.0
"""As the scenario of a lost site has it, which clones every PostgreSQL of it anew."""
TTLS_S = (20, 30, 60)
WITNESS_SHARE = 0.25
"""Of the runs that can have them."""
WORKERS_DRAWN = (1, 2, 2, 4)
DEADLINES_S_DRAWN = (90.0, 90.0, 180.0)
"""None is shorter than the faults of a run last: a site that is cut off from the primary for longer
than its deadline leaves commits in doubt, and nobody can tell whose fault that is (UNKNOWN)."""
SWARM_WEIGHT_MAX = 100
"""As TigerBeetle's fuzzers weigh their variants: from 1 to here."""
OUTAGES_TTL = 2.0
"""An outage lasts a ttl, and an election with its retries: twice a ttl is what built-in scenarios
allow."""
BLOCK = 10
"""So many runs in a row have the same topology and settings, so that they can share a lab."""
PREDICTED_SHARE = 0.5
LAST_S = 0.5
"""After the last of the faults at known moments: the observers look five times."""
SEED_BITS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What the load of a site is like, beside its workload."""

    workers: int = 2
    deadline_s: float = 90.0
    """As ``bascule drill`` has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One drawn run: all that a drill needs."""

    n: int
    scenario: Scenario
    topology: Topology
    """With the settings that were drawn; disks and parameters are added as the scenario asks."""
    seed: int
    """Of the drill."""
    client: ClientSettings = ClientSettings()


def draw(seed: int, n: int, catalogue: FaultCatalogue, limits: Limits) -> Case:
    """The run number ``n`` of the campaign with this seed.

    Raises:
        CampaignError: the limits leave no fault for a topology.
    """
    block = Random(f"bascule campaign {GENERATOR} {seed} block {(n - 1) // BLOCK}")
    ground = block.choice(catalogue.grounds)
    if not ground.offers:
        raise CampaignError(
            f"the limits leave no fault for the topology {ground.topology.name}; allow more "
            "families, or fewer topologies"
        )
    durability = block.choice(limits.durability)
    ground = replace(ground, topology=_settings(block, ground.topology, durability, limits))
    random = Random(f"bascule campaign {GENERATOR} {seed} {n}")
    cluster = ground.topology.cluster
    times = Times(
        random=random,
        around_s=(cluster.ttl_s, cluster.loop_wait_s, cluster.retry_timeout_s),
        duration_s_max=limits.duration_s_max,
    )
    faults = draw_schedule(random, ground, _swarm(random, ground), limits, times)
    workload = WORKLOADS[random.choice(limits.workloads)].options.drawn(random)
    fault_s, rto_s_max = _lengths(faults, cluster.ttl_s)
    scenario = Scenario(
        name=f"campaign-{seed}-{n}",
        title=_title(faults)[:200],
        description=f"Run {n} of the campaign with seed {seed}, drawn by generator {GENERATOR}.",
        steady_s=STEADY_S,
        fault_s=fault_s,
        after_heal_s=AFTER_HEAL_S,
        heal_when_service_is_back=False,
        recovery_s_max=RECOVERY_S_MAX,
        faults=faults,
        expect=Expectations(rto_s_max=rto_s_max),
        durability=durability,
        workload=WorkloadSpec(options=workload),
    )
    return Case(
        n=n,
        scenario=scenario,
        topology=ground.topology,
        seed=random.getrandbits(SEED_BITS),
        client=ClientSettings(
            workers=random.choice(WORKERS_DRAWN), deadline_s=random.choice(DEADLINES_S_DRAWN)
        ),
    )


def _settings(random: Random, topology: Topology, durability: SyncMode, limits: Limits) -> Topology:
    """The topology with settings that were drawn: the shortest ttl half of the time."""
    ttls_s = [ttl_s for ttl_s in TTLS_S if ttl_s <= limits.ttl_s_max]
    ttl_s = ttls_s[0] if random.random() < 0.5 else random.choice(ttls_s)
    part_s = ttl_s // 4 if random.random() < 0.5 else ttl_s // 3  # loop_wait + 2 retries <= ttl
    found = topology.with_settings(
        durability=durability,
        ttl_s=ttl_s,
        loop_wait_s=part_s,
        retry_timeout_s=part_s,
        witness=False,
    )
    asked = limits.witness == "always" or random.random() < WITNESS_SHARE
    if limits.witness == "never" or not asked:
        return found
    return with_witness(found) or found


def _swarm(random: Random, ground: Ground) -> list[tuple[Offer, float]]:
    """The offers of the families that are on in this run, each with its weight.

    Half of the runs have only faults whose effect is predicted, where there are some: in these
    service is demanded while they last, in the others safety alone.
    """
    on = [family for family in ground.families if random.random() < 0.5]
    on = on or [random.choice(ground.families)]
    offers = [offer for offer in ground.offers if offer.kind.family in on]
    if random.random() < PREDICTED_SHARE:
        offers = [offer for offer in offers if _is_predicted(offer)] or offers
    return [
        (offer, offer.kind.chances.weight * random.randint(1, SWARM_WEIGHT_MAX)) for offer in offers
    ]


def _is_predicted(offer: Offer) -> bool:
    return offer.kind.effect(offer.kind.params()) != "unpredicted"


def _lengths(faults: Sequence[FaultStep], ttl_s: float) -> tuple[float, float]:
    """How long the fault phase lasts at least, and how long a site may wait: in seconds.

    Outages that no whole cluster separates may be one. Where nobody can predict what a fault does,
    a site may wait as long as the faults last: there safety alone is demanded, and service after
    the heal (docs/use/campaigns.md).
    """
    ends_s = [
        max(step.at_s + (step.heal_after_s or 0.0), step.heal_at_s or 0.0)
        for step in faults
        if step.on is None
    ]
    fault_s = round(max(ends_s) + LAST_S, 1)
    limit_s = OUTAGES_TTL * ttl_s * _together_max(faults)
    effects = {FAULTS[step.fault].effect(step.params) for step in faults}
    if "unpredicted" in effects:
        follows_s = [step.after_s + (step.heal_after_s or 0.0) for step in faults]
        limit_s += fault_s + sum(follows_s) + RECOVERY_S_MAX
    return fault_s, round(limit_s, 1)


def _together_max(faults: Sequence[FaultStep]) -> int:
    """The most faults in a row between which nobody waits for a whole cluster."""
    counts = [0]
    for step in faults:
        if step.on == "whole":
            counts.append(0)
        counts[-1] += 1
    return max(counts)


def _title(faults: Sequence[FaultStep]) -> str:
    return ", ".join(f"{step.fault} on {step.target}" for step in faults)
