"""The same scenarios on both substrates: in containers they end as they do in the lab."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import LOW_LOAD, bascule_drill, events
from support.docker.docker_things import things_of

from .conftest import Drilled

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("images")]

Drill = Callable[..., Drilled]
SCENARIOS = ("host-loss", "switchover", "async-loss")
"""``benchmarks/substrates.py`` compares more of them."""
SITES = ("paris", "orsay", "saint-cloud")
DRILL_TIMEOUT_S = 400.0


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    """Runs a scenario in containers, each once. Stock Patroni, as the lab it is compared with: how
    witnesses and Patroni share the work is a matter of moments."""
    base = tmp_path_factory.mktemp("contained")

    @cache
    def run(scenario: str) -> Drilled:
        folder = base / scenario
        how = ("--substrate", "compose", "--no-witness", "--seed", "7", *LOW_LOAD)
        done = bascule_drill(folder, scenario, *how, timeout_s=DRILL_TIMEOUT_S)
        assert (folder / "verdict.json").exists(), done.stderr
        return Drilled(
            folder=folder,
            exit_code=done.returncode,
            output=done.stdout,
            errors=done.stderr,
            verdict=json.loads((folder / "verdict.json").read_text()),
        )

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_substrates_agree(drilled: Drill, contained: Drill, scenario: str) -> None:
    lab, containers = drilled(scenario, is_stock=True), contained(scenario)
    assert containers.exit_code == lab.exit_code, containers.output + containers.errors
    for key in ("verdict", "duplicated", "split_brain"):
        assert containers.verdict[key] == lab.verdict[key], key
    kinds = [{finding["kind"] for finding in run.verdict["findings"]} for run in (lab, containers)]
    assert kinds[0] == kinds[1]
    assert bool(containers.verdict["lost"]) == bool(lab.verdict["lost"])
    checks = [
        {check["name"]: check["verdict"] for check in run.verdict["checkers"]}
        for run in (lab, containers)
    ]
    assert checks[0] == checks[1]
    kinds_of_events = [
        {event["kind"] for event in lines(run.folder / "events.jsonl")} for run in (lab, containers)
    ]
    assert kinds_of_events[0] == kinds_of_events[1]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_counted_is_there(contained: Drill, scenario: str) -> None:
    """A second time, independently of the checkers."""
    run = contained(scenario)
    acknowledged = {
        line["id"]
        for site in SITES
        for line in lines(run.folder / f"history-{site}.jsonl")
        if line["type"] == "ok"
    }
    reads = [lines(path) for path in run.folder.glob("final-*.jsonl")]
    primary = next(read for read in reads if read[0].get("is_primary"))
    there = {line["id"] for line in primary if line["type"] == "row"}
    assert run.verdict["acknowledged"] == len(acknowledged) > 200
    assert run.verdict["lost"] == len(acknowledged - there)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_evidence_says_what_it_was_made_on(contained: Drill, scenario: str) -> None:
    run = contained(scenario)
    document = json.loads((run.folder / "run.json").read_text())
    substrate = document["substrate"]
    assert substrate["name"] == "compose"
    assert {"engine", "compose", "data", "image postgres", "image etcd", "image bascule"} <= set(
        substrate
    )
    assert {"postgresql", "patroni", "etcd", "psycopg", "python"} <= set(document["versions"])
    assert "unknown" not in document["versions"].values()
    report = (run.folder / "report.html").read_text()
    assert "containers of one engine" in report
    logs = {path.name for path in (run.folder / "logs").iterdir()}
    hosts = [f"{kind}-{site}.{unit}.log" for site in SITES for kind, unit in UNITS.items()]
    assert logs == {*hosts, "app-paris.final-read.log"}
    settings = events(run.folder, "settings")[0]
    asked = document["settings"]
    assert (settings["ttl_s"], settings["loop_wait_s"]) == (asked["ttl_s"], asked["loop_wait_s"])


def test_everything_is_removed_and_nothing_is_secret(contained: Drill) -> None:
    run = contained("host-loss")
    assert things_of(run.folder) == []
    for path in run.folder.rglob("*"):
        if path.is_file():
            text = path.read_text(errors="replace")
            for word in ("SCRAM-SHA-256$", "password=", "PATRONI_SUPERUSER_PASSWORD"):
                assert word not in text, f"{path}: {word}"


UNITS = {"db": "patroni", "dcs": "etcd", "app": "load"}
