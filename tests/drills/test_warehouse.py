"""The hospital's warehouse through a real loss of the primary's host.

What is acknowledged and what is there is counted here a second time, independently of the checkers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.commands.commands import bascule_drill

from chaos.workloads.warehouse.deliveries import deliver
from chaos.workloads.warehouse.profiles import PROFILES

pytestmark = pytest.mark.slow

NODES = ("paris", "orsay", "saint-cloud")


def lines(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(pattern)):
        for line in path.read_text().splitlines():
            yield json.loads(line)


def test_a_host_loss_tears_no_delivery_and_brings_nobody_back(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = bascule_drill(run, "warehouse-host-loss", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads((run / "verdict.json").read_text())
    schema = json.loads((files("chaos.judge") / "verdict.schema.json").read_text())
    Draft202012Validator(schema).validate(verdict)
    assert (verdict["verdict"], verdict["findings"]) == ("valid", [])
    assert verdict["workload"] == "warehouse"
    said = {checker["name"]: checker["verdict"] for checker in verdict["checkers"]}
    for name in ("feeds", "warehouse-totals", "warehouse-reads", "divergence", "lost-entries"):
        assert said[name] == "valid"

    begun = {line["id"]: line for line in lines(run, "history-*.jsonl") if line["type"] == "invoke"}
    acknowledged = {line["id"] for line in lines(run, "history-*.jsonl") if line["type"] == "ok"}
    kinds = Counter(begun[id_]["work"]["op"] for id_ in acknowledged)
    for kind in ("delivery", "withdrawal", "snapshot", "snapshot-on-primary", "cohort"):
        assert kinds[kind] > 2, kinds
    on_replicas = {
        line["work"]["reader"] for line in begun.values() if line["work"].get("source") == "replica"
    }
    assert len(on_replicas) > 1
    withdrawn = {
        begun[id_]["work"]["person"]
        for id_ in acknowledged
        if begun[id_]["work"]["op"] == "withdrawal"
    }
    for node in NODES:
        held = [line for line in lines(run, f"final-db-{node}.jsonl") if line["type"] == "row"]
        there = {line["id"]: json.loads(line["content"]) for line in held}
        assert len(there) == len(held)
        leaving = {id_ for id_ in acknowledged if begun[id_].get("entry", True)}
        assert leaving <= there.keys() <= begun.keys()
        assert withdrawn <= {row["person"] for row in there.values() if row["op"] == "withdrawal"}
        state = {
            line["id"]: line["content"]
            for line in lines(run, f"final-db-{node}.jsonl")
            if line["type"] == "state"
        }
        rows = PROFILES["smoke"].patients - len(
            {row["person"] for row in there.values() if row["op"] == "withdrawal"}
        )
        assert state["rows:person"] == str(rows)
        deliveries = [row for row in there.values() if row["op"] == "delivery"]
        assert {row["source"] for row in deliveries} == {f"{n}-{w}" for n in NODES for w in (0, 1)}
        assert sum(row["inserted"] for row in deliveries if row["kind"] == "again") == 0
        # What was refused is exactly what was of somebody who had withdrawn.
        everybody = {row["person"] for row in there.values() if row["op"] == "withdrawal"}
        for row in deliveries:
            results = deliver(row["source"], row["batch"], results=60, patients=6_000)
            gone = sum(result.person in everybody for result in results)
            assert row["refused"] + row["erased"] == gone
            assert row["held"] == 60 - gone
