"""Runs that must end INVALID: the proof that a campaign would see what it looks for. Pure.

One run in twenty is a canary, the first of each twenty. Each is a built-in scenario that is known
to lose acknowledged writes, on the topology that it is made for and with its settings; its load is
as short before and after the faults as that of a drawn run.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from chaos.campaigns.cases import AFTER_HEAL_S, SEED_BITS, STEADY_S, Case
from chaos.scenarios.fitting import fitted
from chaos.scenarios.load import load_scenario
from cluster.topology.load import DEFAULT, find_topology

EVERY = 20
CANARIES = ("fsync-off", "async-loss", "wrong-failover-by-hand")
NEED_DISKS = frozenset({"fsync-off"})


def is_canary(n: int) -> bool:
    """Whether the run with that number is one; they are counted from 1."""
    return n % EVERY == 1


def canary(seed: int, n: int, *, has_disks: bool) -> Case:
    """The canary with that number: another scenario each time."""
    names = [name for name in CANARIES if has_disks or name not in NEED_DISKS]
    scenario = load_scenario(names[n // EVERY % len(names)])
    scenario = replace(scenario, steady_s=STEADY_S, after_heal_s=AFTER_HEAL_S)
    topology = find_topology(scenario.topology or DEFAULT)
    # Without witnesses: what a canary loses has nothing to do with them, and its lab may be kept.
    topology = topology.with_settings(durability=scenario.durability, witness=False)
    return Case(
        n=n,
        scenario=scenario,
        topology=fitted(topology, scenario),
        seed=Random(f"bascule canary {seed} {n}").getrandbits(SEED_BITS),
    )
