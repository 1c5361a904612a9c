"""Every scenario run once, for real, by the command; the tests look at what it left."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import LOW_LOAD, bascule_drill


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
    """Runs a built-in scenario with a workload (the ledger), each combination once a session.

    Without witnesses, unless a test asks for them: several drills share two cores here, and three
    witnesses in each would leave the loads too little.
    """
    mine = tmp_path_factory.getbasetemp()
    base = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "drills"
    base.mkdir(exist_ok=True)

    @cache
    def run(scenario: str, workload: str = "ledger", *, is_stock: bool = True) -> Drilled:
        folder = base / f"{scenario}-{workload}{'' if is_stock else '-witnessed'}"
        said = base / f"{folder.name}.json"
        with (base / f"{folder.name}.lock").open("w") as lock:  # another worker may be at it
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not said.exists():
                options = ["--seed", "7", "--workload", workload]
                options += LOW_LOAD if workload == "ledger" else ()
                options += ["--no-witness"] if is_stock else []
                done = bascule_drill(folder, scenario, *options)
                said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
        exit_code, output, errors = json.loads(said.read_text())
        return Drilled(
            folder=folder,
            exit_code=exit_code,
            output=output,
            errors=errors,
            verdict=json.loads((folder / "verdict.json").read_text()),
        )

    return run
