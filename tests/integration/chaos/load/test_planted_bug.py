"""A bug planted in a copy of the project, which a real drill must find: the causal token is lost.

A long query holds up the replay on the replicas; they receive what is committed and do not show it.
A storage layer that asks with the token goes elsewhere, or waits. The copy asks without it: reads
are served by a replica that is seconds behind, and the history says that they had asked.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import LOW_LOAD, bascule
from support.house.house_copy import copy_house, with_interpreter

pytestmark = pytest.mark.slow

SCENARIO = """
name = "held-up"
title = "The replicas receive and do not replay"
steady_s = 1
fault_s = 3
heal_when_service_is_back = false
after_heal_s = 1
recovery_s_max = 60

[[fault]]
fault = "long-query"
target = "replicas"
at_s = 0

[workload]
kind = "append"
replica_reads = 1

[expect]
failover = "must-not"
rto_s_max = 10
"""

ASKS = """
            after=token,
            max_staleness_s=ANY_S if token is None else None,
"""
LOSES_THE_TOKEN = """
            max_staleness_s=ANY_S,
"""


def test_a_lost_causal_token_is_found_and_a_stale_replica_is_told_from_it(tmp_path: Path) -> None:
    copy = with_interpreter(copy_house(tmp_path / "house"), tmp_path / "python")
    reading = copy.folder / "chaos" / "workloads" / "reading.py"
    text = reading.read_text()
    assert text.count(ASKS) == 1
    reading.write_text(text.replace(ASKS, LOSES_THE_TOKEN))
    (tmp_path / "held-up.toml").write_text(SCENARIO)
    run = tmp_path / "run"
    scenario = str(tmp_path / "held-up.toml")
    drill = ("-m", "chaos", "drill", scenario, "--seed", "3", *LOW_LOAD, "--out", str(run))
    done = copy.python(*drill, timeout_s=240)
    assert done.returncode == 1, done.stdout + done.stderr
    verdict = json.loads((run / "verdict.json").read_text())
    wrong = [one for one in verdict["findings"] if one["verdict"] != "valid"]
    assert [one["kind"] for one in wrong] == ["missed-own-write"]
    missed = wrong[0]["evidence"]
    assert {proof["source"] for proof in missed} == {"replica"}
    assert all(proof["acknowledged_s"] < proof["begin_s"] for proof in missed)

    # The project's own judgement, of what is promised and of what is not.
    assert bascule("judge", str(run)).returncode == 0
    strict = bascule("judge", str(run), "--level", "strict-serializable", "--json")
    assert strict.returncode == 1, strict.stderr
    (anomaly, *_) = json.loads(strict.stdout)["anomalies"]
    assert {"node", "begin_s", "operation"} <= anomaly["evidence"][0].keys()
    assert anomaly["drawn"].endswith("-> T1")
