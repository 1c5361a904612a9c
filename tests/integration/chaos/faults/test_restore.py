"""A backup of a real cluster is restored to the entry that was asked for, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import bascule

from chaos.evidence.folder import read_run
from chaos.gameday.errors import FaultError
from chaos.testing import PatroniCluster

pytestmark = pytest.mark.slow


def test_under_load_each_site_restores_exactly_what_was_asked_for(tmp_path: Path) -> None:
    out, paper = tmp_path / "run", tmp_path / "paper.html"
    done = bascule("drill", "restore-test", "--rate", "20", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(out)
    assert run.damage == ()
    assert len(run.restores) == 2
    acknowledged = {
        one.id for site in run.histories for one in site.operations if one.outcome == "ok"
    }
    for restore in run.restores:
        assert restore.read is not None
        there = {row.id for row in restore.read.rows}
        assert restore.record.entry in there
        assert there < acknowledged, "entries went on after the one that was named"
        assert restore.record.timeline == 2
    asked = ("--dmard-s", "60", "--json")
    answers = json.loads(bascule("evidence", str(out), *asked).stdout)
    assert answers["subjects"]["restore"]["answer"] == "held"
    assert answers["objectives"]["dmard_s"]["answer"] == "within"
    assert answers["objectives"]["dmia_s"]["answer"] == "not-exercised"
    written = bascule("evidence", str(out), "--out", str(paper))
    assert written.returncode == 0, written.stderr
    assert "copie complète" in paper.read_text(encoding="utf-8")


def test_what_cannot_be_backed_up_or_restored_is_refused() -> None:
    with PatroniCluster(mode="lab") as cluster:
        primary = cluster.state().primary
        with pytest.raises(FaultError, match="a backup belongs on another host"):
            cluster.strike("backup", f"host:{primary}")
        cluster.heal()
        with pytest.raises(FaultError, match="let backup strike first"):
            cluster.strike("restore-test", "cluster")
        done = cluster.strike("backup", "replica")
        assert "verified" in done.detail
        assert cluster.state().broken == (f"the WAL is archived on {done.hosts[0]}",)
        with pytest.raises(FaultError, match="use the workload ledger"):
            cluster.strike("restore-test", "cluster")
        cluster.heal()
        assert cluster.wait_healthy().broken == ()
