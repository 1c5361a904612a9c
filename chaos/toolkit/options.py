"""The options of an experiment's cluster: arguments, configuration, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaos.gameday.errors import OptionError
from chaos.testing import PatroniCluster
from chaos.toolkit.activity import whole_number, word
from cluster.binaries import find_binaries

PREFIX = "bascule_"
"""Of the keys of an experiment's configuration."""
SECRETS = "bascule"
"""The group of an experiment's secrets that a control looks into."""


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"{name}={value!r}: expected true or false")
    return value


def _pg_bindir(name: str, value: object) -> Path:
    path = Path(word(name, value))
    find_binaries(path)  # so that a wrong one is refused before anything is begun
    return path


def _durability(name: str, value: object) -> str:
    if value not in ("quorum", "async"):
        raise OptionError(f"{name}={value!r}: expected quorum or async")
    return str(value)


CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "sites": whole_number,
    "mode": word,
    "topology": word,
    "ttl_s": whole_number,
    "loop_wait_s": whole_number,
    "retry_timeout_s": whole_number,
    "durability": _durability,
    "username": word,
    "dbname": word,
    "reuse": _flag,
    "pg_bindir": _pg_bindir,
}
"""The arguments of ``chaos.testing.PatroniCluster``, except the password."""


def resolve(
    asked: Mapping[str, object], configuration: Mapping[str, object] | None
) -> dict[str, Any]:
    """The arguments of a cluster, checked, without those that keep their default.

    Args:
        asked: arguments of an activity or a control; None is one that was not given.
        configuration: ``bascule_sites`` and so on count if no argument was given.

    Raises:
        OptionError: there is no such argument, or its value is of the wrong kind.
        PrerequisiteError: the folder ``pg_bindir`` lacks programs.
    """
    unknown = [name for name in asked if name not in CHECKS]
    if unknown:
        raise OptionError(f"a cluster has no {unknown[0]}; there are {', '.join(CHECKS)}")
    found: dict[str, Any] = {}
    for name, check in CHECKS.items():
        value, said = asked.get(name), name
        if value is None:
            said = f"{PREFIX}{name}"
            value = (configuration or {}).get(said)
        if value is not None:
            found[name] = check(said, value)
    return found


def make_cluster(
    asked: Mapping[str, object],
    configuration: Mapping[str, object] | None,
    secrets: Mapping[str, object] | None,
) -> PatroniCluster:
    """The cluster that an experiment asks for, not started.

    Args:
        asked: as of ``resolve``.
        configuration: as of ``resolve``.
        secrets: ``password``, of the role that the tests work with.

    Raises:
        OptionError, TopologyError: there is no such thing.
        PrerequisiteError: the folder ``pg_bindir`` lacks programs.
    """
    found = resolve(asked, configuration)
    password = (secrets or {}).get("password")
    if password is not None:
        if not isinstance(password, str) or not password:  # it is not repeated
            raise OptionError("the secret password: expected a text")
        found["password"] = password
    return PatroniCluster(**found)


def group_of(secrets: Mapping[str, object] | None) -> Mapping[str, object]:
    """The secrets that are ours: a control is given all groups, an activity only its own."""
    group = (secrets or {}).get(SECRETS)
    return group if isinstance(group, Mapping) else {}
