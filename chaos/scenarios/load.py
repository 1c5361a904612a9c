"""Reads scenarios from TOML (docs/use/scenarios.md), and writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pkgutil import resolve_name
from typing import Any, get_args

from chaos.errors import ScenarioError
from chaos.faults.base import FaultKind
from chaos.faults.registry import FAULTS
from chaos.faults.targets import FORMS, PRIMARY, Target, parse_target
from chaos.scenarios.access import AccessSpec, access_tables, read_access, with_access_of
from chaos.scenarios.model import (
    CUES,
    HEALING_CUES,
    Cue,
    Expectations,
    Failover,
    FaultStep,
    Scenario,
    WorkloadSpec,
)
from chaos.scenarios.rules import problems_of_scenario
from chaos.workloads.kind import WorkloadOptions
from chaos.workloads.registry import DEFAULT as DEFAULT_WORKLOAD
from chaos.workloads.registry import WORKLOADS, kind_of
from cluster.errors import Problem
from cluster.toml.builtin import Catalogue, TomlText
from cluster.toml.reader import TomlDocument, TomlTable, one_of, quote
from cluster.topology.load import DISKS, builtin_topologies
from cluster.topology.proxies import PROXY_ROLES
from cluster.topology.settings import SyncMode

DEFAULT = "host-loss"

DURABILITIES: tuple[SyncMode, ...] = get_args(SyncMode)
FAILOVERS: tuple[Failover, ...] = get_args(Failover)

BUILT_IN = tuple(topology.name for topology in builtin_topologies())

_OPTION = re.compile(r"[a-z][a-z0-9_]*")
_PLAIN = re.compile(r"true|false|[+-]?\d+(?:\.\d+)?")
"""Values of options that are no texts."""

HOUR_S = 3600.0
"""No part of a drill is longer; more is a slip of the unit."""
STEADY_S_MIN = 1.0
LIMIT_S_MIN = 0.1

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


def to_toml(scenario: Scenario) -> str:
    """A scenario as TOML; ``load_scenario`` reads the same one back.

    What says nothing is left out: an optional key without a value, a parameter that was not asked.
    """
    expect, workload = scenario.expect, scenario.workload
    head: dict[str, object] = {
        "name": scenario.name,
        "title": scenario.title,
        "description": scenario.description or None,
        "durability": scenario.durability,
        "witness": scenario.witness,
        "topology": scenario.topology,
        "disk": scenario.disk,
        "through": scenario.through,
        "steady_s": scenario.steady_s,
        "fault_s": scenario.fault_s,
        "heal_when_service_is_back": scenario.heal_when_service_is_back,
        "after_heal_s": scenario.after_heal_s,
        "recovery_s_max": scenario.recovery_s_max,
    }
    (_, keys_of_access), *asked = access_tables(scenario.access)
    tables: list[tuple[str, dict[str, object]]] = [("", {**head, **keys_of_access})]
    if scenario.postgresql:
        tables.append(("[postgresql]", dict(scenario.postgresql)))
    options = {item.name: getattr(workload.options, item.name) for item in fields(workload.options)}
    tables.append(("[workload]", {"kind": workload.kind, **options}))
    tables += [("[[fault]]", _keys_of(step)) for step in scenario.faults]
    limits = {item.name: getattr(expect, item.name) for item in fields(expect)}
    tables += [*asked, ("[expect]", limits)]
    return "\n".join("\n".join([*_heading(name), *_lines(keys)]) + "\n" for name, keys in tables)


def _keys_of(step: FaultStep) -> dict[str, object]:
    at_s = step.at_s if step.at_s_max is None else [step.at_s, step.at_s_max]
    is_bound = step.on is not None
    return {
        "fault": step.fault,
        "target": str(step.target),
        **({"on": step.on, "after_s": step.after_s} if is_bound else {"at_s": at_s}),
        "heal_at_s": step.heal_at_s,
        "heal_on": step.heal_on,
        "heal_after_s": step.heal_after_s,
        **{item.name: getattr(step.params, item.name) for item in fields(step.params)},
    }


def _heading(name: str) -> list[str]:
    return [name] if name else []


def _lines(keys: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_shown(value)}" for key, value in keys.items() if value is not None]


def _shown(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return quote(value) if isinstance(value, str) else repr(value)


def _read(found: TomlText) -> Scenario:
    document = TomlDocument(found.text, found.source, ScenarioError)
    root = document.root
    strangers: list[Problem] = []
    scenario = Scenario(
        name=root.name("name"),
        title=root.line("title"),
        description=root.text("description", "").strip(),
        durability=root.choice("durability", DURABILITIES) if root.has("durability") else None,
        witness=root.flag("witness") if root.has("witness") else None,
        steady_s=root.number("steady_s", minimum=STEADY_S_MIN, maximum=HOUR_S),
        fault_s=root.number("fault_s", minimum=0.0, maximum=HOUR_S),
        after_heal_s=root.number("after_heal_s", minimum=0.0, maximum=HOUR_S),
        heal_when_service_is_back=root.flag("heal_when_service_is_back"),
        recovery_s_max=root.number("recovery_s_max", minimum=LIMIT_S_MIN, maximum=HOUR_S),
        faults=tuple(
            _read_step(table, f"fault[{index}]", strangers)
            for index, table in enumerate(root.tables("fault", optional=True))
        ),
        expect=_read_expectations(root.table("expect")),
        workload=_read_workload(root.table("workload")) if root.has("workload") else WorkloadSpec(),
        through=root.choice("through", PROXY_ROLES) if root.has("through") else None,
        topology=root.choice("topology", BUILT_IN) if root.has("topology") else None,
        disk=root.choice("disk", DISKS) if root.has("disk") else None,
        postgresql=root.parameters("postgresql") if root.has("postgresql") else {},
        access=read_access(root),
    )
    document.settle()
    asked = kind_of(scenario.workload.options).access
    if asked:
        of_workload: Callable[[WorkloadOptions], AccessSpec] = resolve_name(asked)
        access = with_access_of(scenario.access, of_workload(scenario.workload.options))
        scenario = replace(scenario, access=access)
    document.settle([*strangers, *problems_of_scenario(scenario)])
    return scenario


def _read_step(table: TomlTable, place: str, strangers: list[Problem]) -> FaultStep:
    """A step. Keys that only other faults have are added to ``strangers``, which are reported once
    all else is right: a misspelt fault comes first."""
    kind = FAULTS[table.choice("fault", tuple(FAULTS))]
    target = _read_target(table, kind)
    at_s, at_s_max, on, after_s = _read_when(table, place, strangers)
    heal_at_s, heal_on, heal_after_s = _read_heal(table, place, strangers)
    params = kind.read(table)
    strangers += _strangers(table, place, kind)
    return FaultStep(
        fault=kind.key,
        target=target,
        at_s=at_s,
        params=params,
        heal_at_s=heal_at_s,
        at_s_max=at_s_max,
        on=on,
        after_s=after_s,
        heal_on=heal_on,
        heal_after_s=heal_after_s,
    )


def _read_when(
    table: TomlTable, place: str, strangers: list[Problem]
) -> tuple[float, float | None, Cue | None, float]:
    """A moment, a window, or an event and how long after it."""
    has_after = table.has("after_s")
    after_s = table.number("after_s", minimum=0.0, maximum=HOUR_S) if has_after else 0.0
    if table.has("on"):
        if table.has("at_s"):
            words = "a fault strikes at a moment (at_s) or follows on an event (on), not both"
            strangers.append(Problem(key=f"{place}.on", words=words))
        return 0.0, None, table.choice("on", CUES), after_s
    if has_after:
        words = "is counted from an event, and there is none: on is missing"
        strangers.append(Problem(key=f"{place}.after_s", words=words))
    at_s, at_s_max = table.number_or_window("at_s", minimum=0.0, maximum=HOUR_S)
    return at_s, at_s_max, None, after_s


def _read_heal(
    table: TomlTable, place: str, strangers: list[Problem]
) -> tuple[float | None, Cue | None, float | None]:
    """A moment; or an event, how long after it, or how long after the strike; or nothing."""
    at_s, after_s = (
        table.number(key, minimum=0.0, maximum=HOUR_S) if table.has(key) else None
        for key in ("heal_at_s", "heal_after_s")
    )
    on = table.choice("heal_on", HEALING_CUES) if table.has("heal_on") else None
    if at_s is not None and (on is not None or after_s is not None):
        words = (
            "a fault is healed at a moment (heal_at_s), or after an event or its own strike "
            "(heal_on, heal_after_s), not both"
        )
        strangers.append(Problem(key=f"{place}.heal_at_s", words=words))
    return at_s, on, after_s


def _read_target(table: TomlTable, kind: FaultKind[Any]) -> Target:
    forms = tuple(FORMS[selector] for selector in kind.takes)
    return table.parsed("target", parse_target, forms, PRIMARY)


def _strangers(table: TomlTable, place: str, kind: FaultKind[Any]) -> Iterator[Problem]:
    """Parameters that only other faults have."""
    own = {field.name for field in fields(kind.params)}
    owners: dict[str, list[str]] = {}
    for other in FAULTS.values():
        for field in fields(other.params):
            owners.setdefault(field.name, []).append(other.key)
    for name in [name for name in owners if name not in own and table.has(name)]:
        having = f"only {one_of(owners[name])} {'has' if len(owners[name]) == 1 else 'have'}"
        yield Problem(key=f"{place}.{name}", words=f"{having} a {name}, not {kind.key}")


def with_options(workload: WorkloadSpec, given: Sequence[str]) -> WorkloadSpec:
    """A workload with some options set otherwise, as on a command line.

    Args:
        workload: what the others come from.
        given: ``key=value`` each, the value as in TOML; a text needs no quotes.

    Raises:
        ScenarioError: one has not that form, or the workload has no such option, or the value is
            none of it; names everything that is wrong.
    """
    source = f"--option of the workload {workload.kind}"
    options = fields(workload.options)
    lines = {one.name: json.dumps(getattr(workload.options, one.name)) for one in options}
    wrong: list[Problem] = []
    if not options:
        wrong.append(Problem(key="", words="it has no options"))
    for text in given if options else ():
        key, equals, value = text.partition("=")
        if not equals or not _OPTION.fullmatch(key):
            wrong.append(Problem(key=text, words="expected KEY=VALUE"))
        else:
            lines[key] = value if _PLAIN.fullmatch(value) else json.dumps(value)
    if wrong:
        raise ScenarioError(source, tuple(wrong))
    document = TomlDocument(
        "".join(f"{key} = {value}\n" for key, value in lines.items()), source, ScenarioError
    )
    changed = WORKLOADS[workload.kind].options.read(document.root)
    document.settle()
    return WorkloadSpec(options=changed)


def _read_workload(table: TomlTable) -> WorkloadSpec:
    kind = WORKLOADS[table.choice("kind", tuple(WORKLOADS), DEFAULT_WORKLOAD.key)]
    return WorkloadSpec(options=kind.options.read(table))


def _read_expectations(table: TomlTable) -> Expectations:
    return Expectations(
        rto_s_max=table.number("rto_s_max", minimum=LIMIT_S_MIN, maximum=HOUR_S),
        lost_max=table.integer("lost_max", 0, minimum=0),
        failover=table.choice("failover", FAILOVERS, "may"),
        restore_loss_s_max=(
            table.number("restore_loss_s_max", minimum=0.0, maximum=HOUR_S)
            if table.has("restore_loss_s_max")
            else None
        ),
    )
