"""Every scenario run once, for real, by the command; the tests look at what it left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.commands import bascule


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """A drill that has ended."""

    folder: Path
    exit_code: int
    output: str
    errors: str
    verdict: dict[str, Any]


@pytest.fixture(scope="session")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Drilled]:
    """Runs a built-in scenario with a workload (the ledger), each pair once a session."""
    base = tmp_path_factory.mktemp("drills")

    @cache
    def run(scenario: str, workload: str = "ledger") -> Drilled:
        folder = base / f"{scenario}-{workload}"
        options = ("--seed", "7", "--workload", workload, "--out", str(folder))
        done = bascule("drill", scenario, *options)
        return Drilled(
            folder=folder,
            exit_code=done.returncode,
            output=done.stdout,
            errors=done.stderr,
            verdict=json.loads((folder / "verdict.json").read_text()),
        )

    return run
