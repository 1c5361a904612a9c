"""Which tests run in one worker of pytest-xdist, one after another.

A module stays together, for its fixtures; so do all modules that use the Docker engine, whose
things are everybody's, or that compare what the whole machine has before and after.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE_MACHINE = frozenset(
    {
        "tests/drills/test_compose_drills.py",
        "tests/integration/test_command_ends.py",
        "tests/integration/test_command_keep.py",
        "tests/integration/test_compose_ends.py",
        "tests/integration/test_compose_faults.py",
        "tests/integration/test_compose_file.py",
        "tests/integration/test_compose_refusals.py",
        "tests/integration/test_testing_docker.py",
    }
)


def module_of(nodeid: str) -> str:
    """The path of a test's module: "tests/unit/test_processes.py"."""
    return nodeid.partition("::")[0]


class Scheduling(LoadScopeScheduling):
    """A module at a time, in the order of the names: drills, which take long, come first."""

    def _split_scope(self, nodeid: str) -> str:
        module = module_of(nodeid)
        return "whole machine" if module in WHOLE_MACHINE else module


def check_modules(needing: Sequence[pytest.Item]) -> None:
    """Hold the list against the tests that need the engine.

    Raises:
        UsageError: a module is missing.
    """
    if missing := {module_of(item.nodeid) for item in needing} - WHOLE_MACHINE:
        raise pytest.UsageError(f"WHOLE_MACHINE in {__name__} lacks {', '.join(sorted(missing))}")
