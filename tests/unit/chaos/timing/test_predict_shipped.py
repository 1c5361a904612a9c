"""What is predicted of every shipped scenario on every shipped topology that it fits."""

from __future__ import annotations

from typing import Literal

import pytest
from support.evidence.planned import planned_run

from chaos.faults.registry import FAULTS as KINDS
from chaos.scenarios.load import builtin_scenarios
from chaos.scenarios.model import Scenario
from chaos.scenarios.rules import problems_of_pair
from chaos.timing.measure import measure
from chaos.timing.predict import UNKNOWN
from cluster.topology.load import builtin_topologies

Want = Literal["returns", "none-until-healed", "goes-on"]
TOPOLOGIES = {topology.name: topology for topology in builtin_topologies()}
SCENARIOS = {scenario.name: scenario for scenario in builtin_scenarios()}

BUILTIN: dict[str, Want | None] = {
    "steady": None,
    "host-loss": "returns",
    "host-loss-through-haproxy": "returns",
    "sticky-sessions": "returns",
    "warehouse-host-loss": "returns",
    "warehouse-site-loss": "returns",
    "process-crash": "returns",
    "switchover": "returns",
    "async-loss": "returns",
    "host-freeze": "returns",
    "site-cut": "none-until-healed",  # of the site that is cut off
    "host-wiped": "returns",
    "host-absent": "goes-on",
    "sync-not-strict": "none-until-healed",
    "slow-wan": "goes-on",
    "slow-disk": "goes-on",
    "restore-test": "goes-on",
    "restore-incremental": "goes-on",
    "power-loss-unsynced": "none-until-healed",
    "fsync-off": "none-until-healed",
    "paused-crash": None,
    "replica-site-loss": "none-until-healed",  # of that site
    "two-sites-no-witness": "none-until-healed",  # of paris at least
    "dcs-majority-loss": "none-until-healed",
    "standby-cluster-follows": "returns",
    "cascade-source-lost": "returns",  # db-orsay may lead
    "rewind-impossible": "returns",
    "host-loss-sealed": "returns",
    "sealed-by-guc": "returns",
    "withdrawal-during-cut": "none-until-healed",  # of the site that is cut off
    "trail-survives-rewind": "returns",
    "trail-lost-by-rewind": "returns",
    "trail-holds-values": "returns",
    "trail-without-values": "returns",
    "return-fenced": "returns",
    "return-unfenced": "returns",
    "warehouse-reader": "returns",
}
"""Of the scenarios whose moments and effects are known beforehand."""
OTHERWISE: dict[tuple[str, str], Want | None] = {
    # Sessions stay on the old primary: how long, is up to who waits.
    ("three-sites-sticky-proxies", "host-loss-through-haproxy"): None,
    ("three-sites-sticky-proxies", "sticky-sessions"): None,
    ("three-sites-failsafe", "dcs-majority-loss"): "goes-on",  # what failsafe_mode is for
    ("two-sites-named-standby", "host-absent"): "returns",  # it may be the named one
    ("three-sites-not-strict", "host-absent"): "returns",  # both are named
}
FITTING = [
    (topology, scenario)
    for topology in TOPOLOGIES
    for scenario in SCENARIOS
    if not list(
        problems_of_pair(
            SCENARIOS[scenario],
            TOPOLOGIES[topology].with_settings(witness=SCENARIOS[scenario].witness),
        )
    )
]


def _can_be_known(scenario: Scenario) -> bool:
    """Of the others nothing may be predicted."""
    return not any(
        step.follows_events
        or step.target.needs_dcs_leader
        or KINDS[step.fault].effect(step.params) in UNKNOWN
        for step in scenario.faults
    )


@pytest.mark.parametrize(("name", "scenario"), FITTING)
def test_every_shipped_scenario_on_every_shipped_topology(name: str, scenario: str) -> None:
    found = measure(planned_run(TOPOLOGIES[name], SCENARIOS[scenario])).prediction
    wanted = BUILTIN[scenario] if _can_be_known(SCENARIOS[scenario]) else None
    wanted = OTHERWISE.get((name, scenario), wanted)
    assert (None if found is None else found.service) == wanted
