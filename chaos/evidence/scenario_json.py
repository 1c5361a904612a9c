"""A scenario as it stands, whole and resolved, in ``run.json``."""

from __future__ import annotations

from chaos.evidence.decode import decode, encode
from chaos.scenarios.model import Scenario


def scenario_to_dict(scenario: Scenario) -> dict[str, object]:
    """The scenario as plain JSON values; every field is there, in the order of the model."""
    encoded = encode(scenario)
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
    return decode(Scenario, value, key)
