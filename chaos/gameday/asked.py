"""From the words of a command to a step: a fault, whom it strikes, and its parameters. Pure.

A parameter is read exactly as in a scenario, by the fault itself: so every fault can be struck by
hand, and a wrong parameter is refused in the same words.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from chaos.errors import ScenarioError
from chaos.evidence.records import Scalar
from chaos.faults.base import FaultKind, FaultParams
from chaos.faults.registry import FAULTS
from chaos.faults.targets import (
    FORMS,
    PRIMARY,
    Layout,
    Target,
    parse_target,
    problem_of,
)
from chaos.scenarios.model import FaultStep
from cluster.errors import Problem
from cluster.toml.reader import TomlDocument, did_you_mean, one_of, quote

DEFAULT_TARGETS = (PRIMARY, Target(selector="site-of", name="primary"))
"""What a fault strikes that is told no target: the first that it takes."""


def read_params(given: Iterable[str]) -> dict[str, Scalar]:
    """``key=value`` texts as values: numbers, ``true`` and ``false`` as in TOML, else text.

    Raises:
        ScenarioError: one has no ``=``.
    """
    params: dict[str, Scalar] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise ScenarioError(text, (Problem(key="", words="expected KEY=VALUE"),))
        params[name.strip()] = _value(value.strip())
    return params


def _value(text: str) -> Scalar:
    try:
        found = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, ValueError):
        return text
    return found if isinstance(found, str | int | float | bool) else text


def read_step(
    fault: str, target: str, params: Mapping[str, Scalar], layout: Layout, *, at_s: float = 0.0
) -> FaultStep:
    """The step that a person asks for.

    Args:
        fault: its name.
        target: as in a scenario, or the name of a host or site; empty: the primary, or its site.
        params: the parameters of the fault, by name.
        layout: where the hosts are.
        at_s: when it strikes.

    Raises:
        ScenarioError: there is no such fault, target or parameter; names everything that is wrong.
    """
    kind = FAULTS.get(fault)
    if kind is None:
        words = (
            f"there is no such fault{did_you_mean(fault, FAULTS)}; there are {one_of([*FAULTS])}"
        )
        raise ScenarioError(fault, (Problem(key="", words=words),))
    return FaultStep(
        fault=kind.key,
        target=_read_target(kind, target, layout),
        at_s=at_s,
        params=_read_params(kind, params),
    )


def _read_target(kind: FaultKind[Any], text: str, layout: Layout) -> Target:
    target = _target(kind, text, layout)
    if target is None:
        forms = one_of([FORMS[selector] for selector in kind.takes])
        known = [*layout.hosts, *layout.sites]
        words = (
            f"expected {forms}, or the name of a host or site; found {text}"
            if text
            else f"whom? Expected {forms}"
        )
        hint = did_you_mean(text, known) if text else ""
        raise ScenarioError(kind.key, (Problem(key="target", words=words + hint),))
    if why := kind.refusal(target) or problem_of(target, layout):
        raise ScenarioError(kind.key, (Problem(key="target", words=why),))
    return target


def _target(kind: FaultKind[Any], text: str, layout: Layout) -> Target | None:
    if not text:
        return next((one for one in DEFAULT_TARGETS if one.selector in kind.takes), None)
    if (found := parse_target(text)) is not None:
        return found
    named: list[Target] = []
    if text in layout.sites:
        named.append(Target(selector="site", name=text))
    if text in layout.hosts:
        named.append(Target(selector="host", name=text))
    link = Target(selector="link", name=text)
    if problem_of(link, layout) is None:
        named.append(link)
    # A name may be that of a site and of a host: the fault says which it can strike.
    fit = [one for one in named if kind.refusal(one) is None]
    return next(iter(fit or named), None)


def _read_params(kind: FaultKind[Any], params: Mapping[str, Scalar]) -> FaultParams:
    known = [field.name for field in fields(kind.params)]
    if strangers := [name for name in params if name not in known]:
        having = f"it has {one_of(known)}" if known else "it has none"
        problems = (Problem(key=name, words=f"no parameter of it; {having}") for name in strangers)
        raise ScenarioError(kind.key, tuple(problems))
    text = "\n".join(f"{quote(name)} = {_toml(value)}" for name, value in params.items())
    document = TomlDocument(text, kind.key, ScenarioError)
    found: FaultParams = kind.read(document.root)
    document.settle()
    return found


def _toml(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if isinstance(value, str) else repr(value)


def fault_list() -> str:
    """Every fault with whom it strikes and its parameters, for ``--help``."""
    width = max(len(key) for key in FAULTS)
    lines = []
    for kind in FAULTS.values():
        targets = ", ".join(FORMS[selector] for selector in kind.takes)
        stays = "" if kind.lasts else "; over once it has struck"
        lines.append(f"{kind.key:{width}}  {kind.words.title}{stays}")
        lines.append(f"{'':{width}}    strikes {targets}")
        if params := [f"{one.name}={_kind_of(one.type)}" for one in fields(kind.params)]:
            lines.append(f"{'':{width}}    --param {' '.join(params)}")
    return "\n".join(lines)


def _kind_of(hint: object) -> str:
    """``text``, ``number``: of the hint of a field, which is a text (PEP 563)."""
    words = str(hint)
    if "float" in words or "int" in words:
        return "NUMBER"
    return "true|false" if "bool" in words else "TEXT"
