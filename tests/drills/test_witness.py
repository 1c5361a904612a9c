"""A drill with witnesses: what they did is on record, and the verdict knows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import HALF_LOAD, bascule, events

pytestmark = pytest.mark.slow

RTO_S_MAX = 3.0
"""0.6 s where the machine is idle; at least 15 s without witnesses (ttl 20, loop_wait 5)."""


def test_a_lost_host_is_replaced_in_a_moment_and_nothing_is_lost(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = bascule("drill", "host-loss", "--witness", *HALF_LOAD, "--json", "--out", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["verdict"], verdict["lost"], verdict["findings"]) == ("valid", 0, [])
    assert 0 < verdict["rto_s"] < RTO_S_MAX
    assert verdict["rto_predicted_s"]["low_s"] <= verdict["rto_s"]
    assert {event["host"] for event in events(run, "witness")} == {
        "dcs-paris", "dcs-orsay", "dcs-saint-cloud"
    }  # fmt: skip
    [act] = events(run, "act")
    [fault] = events(run, "fault")
    assert (act["leader"], act["case"]) == (fault["target"], "host-silent")
    assert len(str(act["voted_by"]).split(",")) >= 2
    for site in ("paris", "orsay", "saint-cloud"):
        assert "event=start" in (run / "logs" / f"dcs-{site}.witness.log").read_text()
    again = bascule("check", str(run))
    assert again.returncode == 0, again.stdout + again.stderr
