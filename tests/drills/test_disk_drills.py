"""A power cut takes what was not synced: with honest settings nothing of value, and with ``fsync =
off`` what was acknowledged. The second drill is the proof that the first could have failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import events

from .conftest import Drilled

pytestmark = pytest.mark.slow

Drill = Callable[..., Drilled]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def acknowledged(folder: Path) -> dict[str, float]:
    """When each entry was acknowledged, counted apart from the checkers."""
    return {
        line["id"]: line["t_s"]
        for path in folder.glob("history-*.jsonl")
        for line in lines(path)
        if line["type"] == "ok"
    }


def there(folder: Path) -> dict[str, set[str]]:
    """What every node holds."""
    return {
        path.stem: {line["id"] for line in lines(path) if line["type"] == "row"}
        for path in folder.glob("final-*.jsonl")
    }


def struck_s(run: Drilled) -> float:
    struck = events(run.folder, "fault")
    assert len(struck) == 3, "every node"
    return min(float(str(event["t_s"])) for event in struck)


def test_honest_disks_and_settings_lose_nothing(drilled: Drill) -> None:
    run = drilled("power-loss-unsynced")
    assert run.exit_code == 0, run.output + run.errors
    assert run.verdict["verdict"] == "valid"
    assert run.verdict["lost"] == 0
    before = {id_ for id_, t_s in acknowledged(run.folder).items() if t_s < struck_s(run)}
    assert len(before) > 200
    assert all(before <= held for held in there(run.folder).values())
    text = (run.folder / "topology.toml").read_text()
    assert text.count('disk = "layered"') == 3
    assert "with the power went what was not synced" in (run.folder / "report.html").read_text()


def test_without_fsync_what_was_acknowledged_is_found_lost(drilled: Drill) -> None:
    run = drilled("fsync-off")
    assert run.exit_code == 1, run.output + run.errors
    assert run.verdict["verdict"] == "invalid"
    missing = set(acknowledged(run.folder)) - set.union(*there(run.folder).values())
    assert missing
    named = [
        proof["id"]
        for finding in run.verdict["findings"]
        if finding["kind"] == "lost-acknowledged-write"
        for proof in finding["evidence"]
    ]
    assert run.verdict["lost"] == len(missing)
    assert sorted(named) == sorted(missing)
    back_s = min(float(str(event["t_s"])) for event in events(run.folder, "heal"))
    before = {id_ for id_, t_s in acknowledged(run.folder).items() if t_s < back_s}
    assert missing <= before, "what was acknowledged after the power came back is there"
