"""The workloads beside the ledger through a real loss of the primary's host.

What is acknowledged and what is there is counted here a second time, independently of the checkers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .conftest import Drilled

pytestmark = pytest.mark.slow

Drill = Callable[..., Drilled]


def lines(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(pattern)):
        for line in path.read_text().splitlines():
            yield json.loads(line)


@pytest.mark.parametrize("workload", ["transfers", "bulk"])
def test_a_host_loss_costs_service_and_no_data(drilled: Drill, workload: str) -> None:
    run = drilled("host-loss", workload)
    assert run.exit_code == 0, run.output + run.errors
    assert (run.verdict["verdict"], run.verdict["findings"]) == ("valid", [])
    assert run.verdict["workload"] == workload
    assert 0 < run.verdict["rto_s"] < 60
    assert run.verdict["acknowledged"] > 50
    schema = json.loads((files("chaos.judge") / "verdict.schema.json").read_text())
    Draft202012Validator(schema).validate(run.verdict)
    asked = json.loads((run.folder / "run.json").read_text())
    assert asked["scenario"]["workload"]["kind"] == workload
    assert asked["format_version"] == 3


def test_the_total_of_all_balances_is_kept_on_every_node(drilled: Drill) -> None:
    folder = drilled("host-loss", "transfers").folder
    for node in ("paris", "orsay", "saint-cloud"):
        balances = {
            line["id"]: int(line["content"])
            for line in lines(folder, f"final-db-{node}.jsonl")
            if line["type"] == "state"
        }
        assert len(balances) == 20
        assert sum(balances.values()) == 20_000
        assert set(balances.values()) != {1000}, "money moved"
    totals = [line["result"] for line in lines(folder, "history-*.jsonl") if line.get("result")]
    assert len(totals) > 50
    assert {(one["total"], one["accounts"]) for one in totals} == {(20_000, 20)}


def test_every_acknowledged_chunk_is_there_once_and_whole(drilled: Drill) -> None:
    folder = drilled("host-loss", "bulk").folder
    chunks = {
        line["id"]
        for line in lines(folder, "history-*.jsonl")
        if line["type"] == "invoke" and line["work"]["op"] == "chunk"
    }
    acknowledged = {
        line["id"] for line in lines(folder, "history-*.jsonl") if line["type"] == "ok"
    } & chunks
    for node in ("paris", "orsay", "saint-cloud"):
        rows = [line for line in lines(folder, f"final-db-{node}.jsonl") if line["type"] == "row"]
        assert set(Counter(row["id"] for row in rows).values()) == {1}
        assert acknowledged <= {row["id"] for row in rows} <= chunks
        held = [json.loads(row["content"]) for row in rows]
        assert {(one["rows"], one["distinct"], one["foreign"]) for one in held} == {(512, 512, 0)}


def test_ticks_and_numbers_are_in_the_events(drilled: Drill) -> None:
    events = list(lines(drilled("host-loss", "transfers").folder, "events.jsonl"))
    assert [event["seq"] for event in events] == list(range(len(events)))
    ticks_s = [event["t_s"] for event in events if event["kind"] == "tick"]
    phases = {event["phase"]: event["t_s"] for event in events if event["kind"] == "phase"}
    # A loaded machine may be late, but not by half.
    assert len(ticks_s) > (phases["done"] - phases["boot"]) / 2
    assert ticks_s[-1] <= phases["done"] + 1.0
