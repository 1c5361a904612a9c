"""A real Patroni cluster for your tests: started in seconds, broken on request, healed again.

Nothing is imported before it is used: the lab must not need Docker's client. The pytest plugin is
``pytest_bascule.py``, beside the packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.gameday.errors import (
        ClusterInTestsError,
        FaultError,
        NoDockerError,
        NotHealthyError,
        NotRunningError,
        OptionError,
        StartError,
    )
    from chaos.gameday.requests import MemberState, State
    from chaos.testing.cluster import PatroniCluster
    from chaos.testing.container import PatroniClusterContainer
    from chaos.testing.fixture_chaos import Chaos

__all__ = [
    "Chaos",
    "ClusterInTestsError",
    "FaultError",
    "MemberState",
    "NoDockerError",
    "NotHealthyError",
    "NotRunningError",
    "OptionError",
    "PatroniCluster",
    "PatroniClusterContainer",
    "StartError",
    "State",
]

_HOMES = {
    "Chaos": "chaos.testing.fixture_chaos",
    "PatroniCluster": "chaos.testing.cluster",
    "PatroniClusterContainer": "chaos.testing.container",
    "MemberState": "chaos.gameday.requests",
    "State": "chaos.gameday.requests",
}
_ERRORS = "chaos.gameday.errors"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_HOMES.get(name, _ERRORS)), name)
