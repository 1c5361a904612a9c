"""A drill that is over is judged, also when not all of it could be removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from signal import Signals

import pytest

from chaos.drill import launch
from chaos.drill.launch import DrillRequest, run_drill
from chaos.scenarios.load import load_scenario
from cluster.errors import LeftoverError
from cluster.substrates.kind import Place
from cluster.topology.load import load_builtin


def test_a_drill_of_which_something_stays_is_judged_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enter(
        command: list[str], started: Callable[[int], object], fds: Sequence[int]
    ) -> tuple[int, Signals | None]:
        raise LeftoverError("could not be removed: volume v", code=0, stopped_by=None)

    place = Place(enter=enter, options=(), substrate={}, versions={}, warnings=("old",))
    monkeypatch.setattr(launch, "prepare_place", lambda request: place)
    request = DrillRequest(
        scenario=load_scenario("steady"),
        topology=load_builtin("three-sites"),
        seed=1,
        rate_per_s=1.0,
        workers=1,
        deadline_s=1.0,
        out=tmp_path / "run",
        command="bascule drill steady",
        substrate="compose",
    )
    end = run_drill(request)
    assert end.ran
    assert (end.folder / "verdict.json").exists()
    assert end.warnings == ("old", "could not be removed: volume v")
