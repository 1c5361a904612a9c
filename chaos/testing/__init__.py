"""A real Patroni cluster in anyone's tests: started in seconds, broken on request, whole again.

Nothing is imported before it is used: the lab must not need Docker's client. The pytest plugin is
``pytest_bascule.py``, beside the packages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.testing.cluster import PatroniCluster
    from chaos.testing.container import PatroniClusterContainer
    from chaos.testing.errors import (
        ClusterInTestsError,
        FaultError,
        NoDockerError,
        NotHealthyError,
        NotRunningError,
        OptionError,
        StartError,
    )
    from chaos.testing.fixture_chaos import Chaos
    from chaos.testing.model import MemberState, State

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
    "Chaos": "fixture_chaos",
    "PatroniCluster": "cluster",
    "PatroniClusterContainer": "container",
    "MemberState": "model",
    "State": "model",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
