"""A drill in containers with witnesses: each stands beside its etcd, acts, and is removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.commands.commands import LOW_LOAD, bascule_drill, events
from support.docker.docker_things import things_of

from .test_witness import RTO_S_MAX

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("images")]

DRILL_TIMEOUT_S = 400.0


def test_a_lost_host_is_replaced_in_a_moment_and_nothing_is_left(tmp_path: Path) -> None:
    run = tmp_path / "run"
    how = ("--witness", "--substrate", "compose", *LOW_LOAD)
    done = bascule_drill(run, "host-loss", *how, "--json", timeout_s=DRILL_TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["verdict"], verdict["lost"], verdict["findings"]) == ("valid", 0, [])
    assert 0 < verdict["rto_s"] < RTO_S_MAX
    [fault] = events(run, "fault")
    act, *_ = events(run, "act")
    assert (act["leader"], act["case"]) == (fault["target"], "host-silent")
    assert len(str(act["voted_by"]).split(",")) >= 2
    assert len(events(run, "witness")) == 3
    gates = []
    for site in ("paris", "orsay", "saint-cloud"):
        assert "event=start" in (run / "logs" / f"dcs-{site}.witness.log").read_text()
        config = yaml.safe_load((run / "config" / f"patroni-db-{site}.yml").read_text())
        assert "/opt/patroni/gate.py" in config["postgresql"]["pre_promote"]
        log = (run / "logs" / f"db-{site}.patroni.log").read_text()
        gates += [site] * log.count("event=gate outcome=open")
    assert gates, "a winner was promoted, and its gate said nothing"
    assert things_of(run) == []
