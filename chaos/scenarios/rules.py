"""What makes a scenario impossible, beyond the type of every key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.faults.registry import FAULTS
from chaos.faults.targets import hosts_at_risk, layout_of, problem_of
from chaos.scenarios.access import problems_of_access
from chaos.scenarios.model import FaultStep, Scenario
from chaos.workloads.registry import WORKLOADS
from cluster.errors import Problem
from cluster.topology.model import Topology


def problems_of_scenario(scenario: Scenario) -> Iterator[Problem]:
    """Everything that is wrong with a scenario whose keys all have the right type."""
    for index, step in enumerate(scenario.faults):
        yield from _problems_of_step(f"fault[{index}]", step)
        yield from _problems_of_event(index, scenario.faults)
    primary_is_hit = any(step.target.may_be_primary for step in scenario.faults)
    if scenario.expect.failover == "must" and not primary_is_hit:
        yield Problem(
            key="expect.failover",
            words='found "must", but no fault has the target primary: nothing would make another '
            "node take the lead",
        )
    hands_over = [
        step.fault
        for step in scenario.faults
        if FAULTS[step.fault].effect(step.params) == "hand-over"
    ]
    if scenario.expect.failover in {"must-not", "not-while-broken"} and hands_over:
        yield Problem(
            key="expect.failover",
            words=f'found "{scenario.expect.failover}", but a {hands_over[0]} is asked for, which '
            "is a change of the lead",
        )
    yield from problems_of_access(scenario.access, scenario.fault_s)
    if scenario.through is not None and "psycopg" not in WORKLOADS[scenario.workload.kind].clients:
        able = ", ".join(key for key, kind in WORKLOADS.items() if "psycopg" in kind.clients)
        words = f"through a proxy goes plain psycopg, which does {able}"
        yield Problem(key="workload.kind", words=words)


def problems_of_pair(scenario: Scenario, topology: Topology) -> Iterator[Problem]:
    """What makes a scenario impossible on a topology: names that it does not have, and what a fault
    cannot do to it (``FaultKind.impossible``), each said once."""
    layout, said = layout_of(topology), set[str]()
    if scenario.through is not None and not topology.hosts_with(scenario.through):
        words = (
            f"in the topology {topology.name} no host has the role {scenario.through}; "
            "three-sites-proxies has some"
        )
        yield Problem(key="through", words=words)
    for index, step in enumerate(scenario.faults):
        if why := problem_of(step.target, layout):
            words = f"in the topology {topology.name} {why}"
            yield Problem(key=f"fault[{index}].target", words=words)
            continue
        kind = FAULTS[step.fault]
        why = kind.impossible(step.params, topology, hosts_at_risk(step.target, layout))
        if why and why not in said:
            said.add(why)
            yield Problem(key=f"fault[{index}]", words=why)


def _problems_of_step(place: str, step: FaultStep) -> Iterator[Problem]:
    kind = FAULTS[step.fault]
    if refusal := kind.refusal(step.target):
        yield Problem(key=f"{place}.target", words=refusal)
    if not step.has_own_heal:
        return
    keys = ("heal_at_s", "heal_on", "heal_after_s")
    key = next(key for key in keys if getattr(step, key) is not None)
    latest_s = step.at_s if step.at_s_max is None else step.at_s_max
    if not kind.stays(step.params):
        words = f"{step.fault} is over once it has struck: there is nothing to heal"
        yield Problem(key=f"{place}.{key}", words=words)
    elif step.heal_at_s is not None and step.on is not None:
        words = (
            f"nobody knows when a fault strikes that follows on {step.on}; heal_after_s counts "
            "from its strike, heal_on from an event after it"
        )
        yield Problem(key=f"{place}.heal_at_s", words=words)
    elif step.heal_at_s is not None and step.heal_at_s <= latest_s:
        begin = f"at_s = {step.at_s:g}"
        if step.at_s_max is not None:
            begin = f"the end of at_s = [{step.at_s:g}, {step.at_s_max:g}]"
        words = f"expected more than {begin}; found {step.heal_at_s:g}"
        yield Problem(key=f"{place}.heal_at_s", words=words)


def _problems_of_event(index: int, faults: Sequence[FaultStep]) -> Iterator[Problem]:
    """An event is counted from the strike before it, and must be able to come."""
    event = faults[index].on
    if event is None:
        return
    key = f"fault[{index}].on"
    if index == 0:
        words = f"{event} is counted from the fault before it in the file, and this is the first"
        yield Problem(key=key, words=words)
    elif event in {"whole", "healed"}:
        lasting = [
            f"fault[{number}]"
            for number, step in enumerate(faults[:index])
            if FAULTS[step.fault].lasts
            and not step.has_own_heal
            # What breaks nothing, as a backup, does not keep a cluster from being whole.
            and not (event == "whole" and FAULTS[step.fault].effect(step.params) == "none")
        ]
        if lasting:
            words = (
                f"{event} never comes while {lasting[0]} lasts, which is healed only at the end; "
                "give it heal_at_s, heal_on or heal_after_s"
            )
            yield Problem(key=key, words=words)
