"""What makes a scenario impossible, beyond the type of every key. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.scenarios.model import FaultName, FaultStep, Scenario
from cluster.problem import Problem

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
