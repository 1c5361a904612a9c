"""One drill of two mistakes: an old primary that comes back without Patroni, and logs with names.

With witnesses, because nothing of it depends on how long the outage is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import LOW_LOAD, bascule_drill

from chaos.scenarios.load import scenario_source

pytestmark = pytest.mark.slow

SHORTER = {
    "fault_s = 32": "fault_s = 14",
    "at_s = 29": "at_s = 12",
    "steady_s = 5": 'steady_s = 1\ntrail = true\ntrail_days = 183\nsealed_values = ["canari-01"]',
    'fault = "unfenced-return"': 'fault = "unfenced-return"\nserves_s = 3',
}
MORE = """
[postgresql]
logging_collector = "on"
log_destination = "jsonlog"
log_statement = "all"

[[probe]]
name = "alice casts"
as = "alice"
sql = "SELECT ('canari' || '-01')::integer"
expect = "error"

[[withdrawal]]"""


def test_both_are_found_and_nothing_else(tmp_path: Path) -> None:
    text = scenario_source("return-unfenced").replace("\n[[withdrawal]]", MORE)
    for whole, short in SHORTER.items():
        lines = [line for line in text.splitlines() if line.split(" #")[0].rstrip() == whole]
        assert len(lines) == 1, whole
        text = text.replace(lines[0], short)
    path, out = tmp_path / "both.toml", tmp_path / "run"
    path.write_text(text, encoding="utf-8")
    done = bascule_drill(out, str(path), "--witness", "--seed", "7", *LOW_LOAD)
    assert done.returncode == 1, done.stdout + done.stderr
    verdict: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    found = {one["kind"]: one for one in verdict["findings"] if one["verdict"] == "invalid"}
    assert found.keys() == {"still-admitted", "value-in-trail"}
    [old] = {proof["node"] for proof in found["still-admitted"]["evidence"]}
    assert "came back with older data" in found["still-admitted"]["summary"]
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    [heal] = [one for one in events if one["kind"] == "heal"]
    assert heal["target"] == old
    assert "without Patroni, served as a primary on timeline 1" in heal["detail"]
    values = found["value-in-trail"]["evidence"]
    assert {proof["node"] for proof in values} == {"db-paris", "db-orsay", "db-saint-cloud"}
    said = {one["name"]: one["verdict"] for one in verdict["checkers"]}
    assert said["retention"] == said["trail"] == said["split-brain"] == "valid"
