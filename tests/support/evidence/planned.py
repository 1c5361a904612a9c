"""Run folders of drills that have not begun."""

from __future__ import annotations

from pathlib import Path

from chaos.drill.launch import DrillRequest, run_info
from chaos.evidence.run import Run
from chaos.scenarios.model import Scenario
from cluster.substrates.kind import Place
from cluster.topology.model import Topology


def planned_run(topology: Topology, scenario: Scenario) -> Run:
    """A run folder of which nothing but run.json exists."""
    request = DrillRequest(
        scenario=scenario,
        topology=topology.with_settings(durability=scenario.durability, witness=scenario.witness),
        seed=1,
        rate_per_s=100.0,
        workers=1,
        deadline_s=90.0,
        out=Path("runs"),
        command="bascule drill",
    )
    place = Place(enter=lambda *_: (0, None), options=(), substrate={}, versions={})
    return Run(info=run_info(request, place), events=(), histories=(), final_reads=())
