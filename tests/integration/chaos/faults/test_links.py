"""The faults of links and sites bite in a real lab, in silence, and healing ends them.

All of them are struck in one lab (``support.lab.link_probes``); each has its test here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import sealed
from support.lab.link_probes import END, PROBES

TIMEOUT_S = 280.0


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each; empty where nothing did."""
    logs: Path = tmp_path_factory.mktemp("links")
    printed = sealed("support.lab.link_probes", str(logs), timeout_s=TIMEOUT_S)
    found = [json.loads(line) for line in printed.splitlines()]
    return {one["probe"]: one["error"] for one in found}


@pytest.mark.parametrize("probe", [*PROBES, END])
def test_in_one_real_lab(probe: str, errors: dict[str, str]) -> None:
    assert errors[probe] == "", errors[probe]
