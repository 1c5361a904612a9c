"""Which tests run in one worker of pytest-xdist, one after another.

A module stays together, for its fixtures; so do all modules that use the Docker engine, whose
things are everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

WITH_ENGINE = frozenset(
    {
        "tests/drills/test_compose_drills.py",
        "tests/drills/test_witness_in_containers.py",
        "tests/integration/chaos/cli/test_by_hand_in_containers.py",
        "tests/integration/cluster/substrates/docker/test_ends.py",
        "tests/integration/cluster/substrates/docker/test_faults.py",
        "tests/integration/test_compose_file.py",
        "tests/integration/cluster/substrates/docker/test_refusals.py",
        "tests/integration/chaos/testing/test_docker.py",
    }
)


def module_of(nodeid: str) -> str:
    """The path of a test's module: "tests/unit/cluster/substrates/test_owner.py"."""
    return nodeid.partition("::")[0]


class Scheduling(LoadScopeScheduling):
    """A module at a time, in the order of the names: drills, which take long, come first."""

    def _split_scope(self, nodeid: str) -> str:
        module = module_of(nodeid)
        return "with the engine" if module in WITH_ENGINE else module


def check_modules(needing: Sequence[pytest.Item]) -> None:
    """Hold the list against the tests that need the engine.

    Raises:
        UsageError: a module is missing.
    """
    if missing := {module_of(item.nodeid) for item in needing} - WITH_ENGINE:
        raise pytest.UsageError(f"WITH_ENGINE in {__name__} lacks {', '.join(sorted(missing))}")
