"""What makes a scenario impossible, beyond the type of every key. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.scenarios.model import FaultName, FaultStep, Scenario
from cluster.problem import Problem
from cluster.topology.model import Topology

LASTING: tuple[FaultName, ...] = ("host-power-cut", "link-cut")
"""The faults that stay until they are healed (``Fault.lasts``)."""


def problems_of_scenario(scenario: Scenario) -> Iterator[Problem]:
    """Everything that is wrong with a scenario whose keys all have the right type."""
    for index, step in enumerate(scenario.faults):
        yield from _problems_of_step(f"fault[{index}]", step)
    primary_is_hit = any(step.target == "primary" for step in scenario.faults)
    if scenario.expect.failover == "must" and not primary_is_hit:
        yield Problem(
            key="expect.failover",
            words='found "must", but no fault has the target primary: nothing would make another '
            "node take the lead",
        )
    hands_over = any(step.fault == "switchover" for step in scenario.faults)
    if scenario.expect.failover == "must-not" and hands_over:
        yield Problem(
            key="expect.failover",
            words='found "must-not", but a switchover is asked for, which is a change of the lead',
        )


def problems_of_pair(scenario: Scenario, topology: Topology) -> Iterator[Problem]:
    """What makes a scenario impossible on a topology.

    A power cut of a host that has the roles postgres and client would end the load together with
    what is under test: nobody could tell what that site was promised, nor when it was served again.
    """
    cuts = [i for i, step in enumerate(scenario.faults) if step.fault == "host-power-cut"]
    both = [host.name for host in topology.hosts_with("postgres") if "client" in host.roles]
    if cuts and both:
        yield Problem(
            key=f"fault[{cuts[0]}]",
            words="host-power-cut would end the load together with PostgreSQL: in the topology "
            f"{topology.name} {', '.join(both)} has the roles postgres and client; give the "
            "client a host of its own",
        )


def _problems_of_step(place: str, step: FaultStep) -> Iterator[Problem]:
    if step.process is not None and step.fault != "process-kill":
        yield Problem(
            key=f"{place}.process", words=f"only process-kill has a process, not {step.fault}"
        )
    if step.fault == "switchover" and step.target != "primary":
        yield Problem(
            key=f"{place}.target", words=f'a switchover needs "primary"; found "{step.target}"'
        )
    if step.heal_at_s is None:
        return
    if step.fault not in LASTING:
        yield Problem(
            key=f"{place}.heal_at_s",
            words=f"{step.fault} is over once it has struck: there is nothing to heal",
        )
    elif step.heal_at_s <= step.at_s:
        yield Problem(
            key=f"{place}.heal_at_s",
            words=f"expected more than at_s = {step.at_s:g}; found {step.heal_at_s:g}",
        )
