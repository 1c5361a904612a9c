"""Three drills of etcd and of the operator: who may lead when nobody can know, and who must not."""

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
SITES = ("paris", "orsay", "saint-cloud")
GIVEN_UP_S = 16.0
"""loop_wait 5, two times retry_timeout 5, and a second: by then a primary without etcd is none."""


def ends(folder: Path) -> list[dict[str, Any]]:
    """The last line of every operation of every site."""
    return [
        line
        for site in SITES
        for text in (folder / f"history-{site}.jsonl").read_text().splitlines()
        if (line := json.loads(text))["type"] in {"ok", "fail", "info", "already"}
    ]


def test_without_etcd_a_healthy_primary_steps_down_and_nobody_takes_its_place(
    drilled: Drill,
) -> None:
    run = drilled("dcs-loss-healthy-primary")
    assert run.exit_code == 0, run.output + run.errors
    assert run.verdict["verdict"] == "valid"
    assert run.verdict["lost"] == 0
    assert run.verdict["split_brain"] is False
    struck_s = max(float(str(event["t_s"])) for event in events(run.folder, "fault"))
    healed_s = min(float(str(event["t_s"])) for event in events(run.folder, "heal"))
    roles = events(run.folder, "role")
    seen = [event for event in roles if struck_s < float(str(event["t_s"])) < healed_s]
    assert [event for event in seen if event["role"] == "primary"] == []
    served = [
        float(line["t_s"])
        for line in ends(run.folder)
        if line["type"] == "ok" and struck_s + GIVEN_UP_S < float(line["t_s"]) < healed_s
    ]
    assert served == []


def test_a_restored_etcd_names_a_leader_of_the_past(drilled: Drill) -> None:
    """It is promoted without an election. In one drill it lacked a write that another replica had
    confirmed: such a loss is found, and nothing else may be."""
    run = drilled("etcd-restored")
    found = {finding["kind"] for finding in run.verdict["findings"]}
    assert found <= {
        "lost-acknowledged-write",
        "acknowledged-on-dead-timeline",
        "unit-not-applied-once",
    }, run.output + run.errors
    assert run.exit_code == (1 if run.verdict["lost"] else 0)
    assert run.verdict["split_brain"] is False
    details = {event["fault"]: str(event["detail"]) for event in events(run.folder, "fault")}
    assert details["dcs-restored"].startswith("etcd restored from a snapshot: it was at revision")
    settled = events(run.folder, "settled")
    assert settled, "one primary, and every replica on its timeline"


def test_a_failover_by_hand_to_the_replica_that_lags_loses_what_it_lacks(drilled: Drill) -> None:
    """The second proof that the instrument can see: this time under quorum commit."""
    run = drilled("wrong-failover-by-hand")
    assert run.exit_code == 1, run.output + run.errors
    assert run.verdict["verdict"] == "invalid"
    struck = {str(event["fault"]): event for event in events(run.folder, "fault")}
    cut, by_hand = struck["link-cut"]["target"], struck["failover-by-hand"]
    assert str(by_hand["detail"]).startswith(f"{cut} was made the primary by hand")
    named = {
        proof["id"]
        for finding in run.verdict["findings"]
        if finding["kind"] == "lost-acknowledged-write"
        for proof in finding["evidence"]
    }
    assert len(named) == run.verdict["lost"] > 0
    assert named <= {line["id"] for line in ends(run.folder) if line["type"] == "ok"}
