"""Bugs that are planted, and must be found by real drills: minutes each.

They prove the instrument, not the product, so they run only when they are asked for:
``make test TEST=tests/planted``, or ``-m planted``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out unless they were asked for."""
    planted = [item for item in items if HERE in item.path.parents]
    for item in planted:
        item.add_marker(pytest.mark.planted)
    is_named = any(HERE.name in argument for argument in config.args)
    if not is_named and "planted" not in str(config.getoption("markexpr")):
        items[:] = [item for item in items if item not in planted]
        config.hook.pytest_deselected(items=planted)
