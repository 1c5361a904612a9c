"""Reads scenarios from TOML (docs/scenarios.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from chaos.errors import ScenarioError
from chaos.scenarios.model import (
    Durability,
    Expectations,
    Failover,
    FaultName,
    FaultStep,
    Scenario,
    Target,
    WorkloadKind,
    WorkloadSpec,
)
from chaos.scenarios.rules import problems_of_scenario
from cluster.catalogue import Catalogue, Found
from cluster.toml_file import Document, Table

DEFAULT = "host-loss"

DURABILITIES: tuple[Durability, ...] = get_args(Durability)
FAILOVERS: tuple[Failover, ...] = get_args(Failover)
FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)
TARGETS: tuple[Target, ...] = get_args(Target)
WORKLOADS: tuple[WorkloadKind, ...] = get_args(WorkloadKind)
PROCESSES = ("postgres",)
"""What can be killed: a process that something watches over and starts again."""

HOUR_S = 3600.0
"""No part of a drill is longer; more is a slip of the unit."""
STEADY_S_MIN = 1.0
LIMIT_S_MIN = 0.1
ACCOUNTS_MIN = 2
"""A transfer needs two."""

_CATALOG = Catalogue(
    kind="scenario",
    package="chaos.scenarios",
    folder="builtin",
    refuse=ScenarioError,
    first=DEFAULT,
)


def builtin_scenarios() -> list[Scenario]:
    """The scenarios that come with Bascule, the default first."""
    return [_read(_CATALOG.built_in(name)) for name in _CATALOG.names()]


def load_scenario(name_or_path: str) -> Scenario:
    """A built-in scenario by its name, else a file by its path.

    Raises:
        ScenarioError: there is neither, or it is wrong; names everything that is.
    """
    return _read(_CATALOG.find(name_or_path))


def scenario_source(name: str) -> str:
    """The TOML of a built-in scenario, comments included.

    Raises:
        ScenarioError: there is none of that name.
    """
    return _CATALOG.built_in(name).text


def _read(found: Found) -> Scenario:
    document = Document(found.text, found.source, ScenarioError)
    root = document.root
    scenario = Scenario(
        name=root.name("name"),
        title=root.line("title"),
        description=root.text("description", "").strip(),
        durability=root.choice("durability", DURABILITIES) if root.has("durability") else None,
        steady_s=root.number("steady_s", minimum=STEADY_S_MIN, maximum=HOUR_S),
        fault_s=root.number("fault_s", minimum=0.0, maximum=HOUR_S),
        after_heal_s=root.number("after_heal_s", minimum=0.0, maximum=HOUR_S),
        heal_when_service_is_back=root.flag("heal_when_service_is_back"),
        recovery_s_max=root.number("recovery_s_max", minimum=LIMIT_S_MIN, maximum=HOUR_S),
        faults=tuple(_read_step(table) for table in root.tables("fault", optional=True)),
        expect=_read_expectations(root.table("expect")),
        workload=_read_workload(root.table("workload")) if root.has("workload") else WorkloadSpec(),
    )
    document.settle()
    document.settle(problems_of_scenario(scenario))
    return scenario


def _read_step(table: Table) -> FaultStep:
    heal_at_s = (
        table.number("heal_at_s", minimum=0.0, maximum=HOUR_S) if table.has("heal_at_s") else None
    )
    return FaultStep(
        fault=table.choice("fault", FAULT_NAMES),
        target=table.choice("target", TARGETS),
        at_s=table.number("at_s", minimum=0.0, maximum=HOUR_S),
        process=table.choice("process", PROCESSES) if table.has("process") else None,
        heal_at_s=heal_at_s,
    )


def _read_workload(table: Table) -> WorkloadSpec:
    """Keys that belong to another kind are not asked for, and so refused as unknown."""
    spec = WorkloadSpec(kind=table.choice("kind", WORKLOADS, WorkloadSpec().kind))
    if spec.kind == "transfers":
        return replace(
            spec,
            accounts=table.integer("accounts", spec.accounts, minimum=ACCOUNTS_MIN),
            opening_balance=table.integer("opening_balance", spec.opening_balance, minimum=0),
        )
    if spec.kind == "bulk":
        return replace(spec, chunk_rows=table.integer("chunk_rows", spec.chunk_rows, minimum=1))
    return spec


def _read_expectations(table: Table) -> Expectations:
    return Expectations(
        rto_s_max=table.number("rto_s_max", minimum=LIMIT_S_MIN, maximum=HOUR_S),
        lost_max=table.integer("lost_max", 0, minimum=0),
        failover=table.choice("failover", FAILOVERS, "may"),
    )
