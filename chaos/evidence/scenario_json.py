"""A scenario as it stands, whole and resolved, in ``run.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from chaos.decode import Readers, Writers, decode, encode
from chaos.errors import FormatError
from chaos.faults.registry import FAULTS
from chaos.faults.targets import parse_target
from chaos.scenarios.model import Cue, FaultStep, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What every step has, for any fault. The parameters of its fault stand beside it."""

    fault: str
    target: str
    at_s: float
    process: None = None
    """Formats 1 and 2 have it in every step, also for faults without that parameter."""
    heal_at_s: float | None = None
    at_s_max: float | None = None
    on: Cue | None = None
    after_s: float = 0.0
    heal_on: Cue | None = None
    heal_after_s: float | None = None


_ONLY_WHERE_ASKED = ("at_s_max", "on", "after_s", "heal_on", "heal_after_s")
"""Keys of a step that are written only where they say something: of steps without them the format
is as it was before there were any."""


def scenario_to_dict(scenario: Scenario) -> dict[str, object]:
    """The scenario as plain JSON values; every field is there, in the order of the model."""
    encoded = encode(scenario, WRITERS)
    assert isinstance(encoded, dict)  # a dataclass always encodes as one
    return encoded


def scenario_from_dict(value: object, key: str = "scenario") -> Scenario:
    """The inverse of ``scenario_to_dict``.

    Args:
        value: What ``json.loads`` gave.
        key: Where it stands, for messages.

    Raises:
        FormatError: an unknown or missing key, or a value of another type; with the key.
    """
    return decode(Scenario, value, key, READERS)


def _step_to_dict(step: FaultStep) -> dict[str, object]:
    """Parameters that were left out are left out here too, except ``process``."""
    asked = {
        field.name: encode(getattr(step.params, field.name))
        for field in fields(step.params)
        if getattr(step.params, field.name) is not None
    }
    head = {"fault": step.fault, "target": str(step.target), "at_s": step.at_s, "process": None}
    events = {
        name: getattr(step, name) for name in _ONLY_WHERE_ASKED if getattr(step, name) is not None
    }
    if step.on is None:
        del events["after_s"]
    return {**head, **asked, "heal_at_s": step.heal_at_s, **events}


def _step_from_dict(value: object, key: str) -> FaultStep:
    if not isinstance(value, Mapping):
        raise FormatError(key, "expected an object")
    kind = FAULTS.get(str(value.get("fault")))
    if kind is None:
        raise FormatError(f"{key}.fault", f"expected one of {', '.join(FAULTS)}")
    own = {field.name for field in fields(kind.params)}
    step = decode(_Step, {k: v for k, v in value.items() if k not in own}, key)
    params = decode(kind.params, {k: v for k, v in value.items() if k in own}, key)
    target = parse_target(step.target)
    if target is None or kind.refusal(target):
        words = f"expected another target of {kind.key}, found {step.target}"
        raise FormatError(f"{key}.target", words)
    return FaultStep(
        fault=kind.key,
        target=target,
        at_s=step.at_s,
        params=params,
        heal_at_s=step.heal_at_s,
        **{name: getattr(step, name) for name in _ONLY_WHERE_ASKED},
    )


READERS: Readers = {FaultStep: _step_from_dict}
WRITERS: Writers = {FaultStep: _step_to_dict}
"""For ``decode`` and ``encode`` of values that have a scenario in them."""
