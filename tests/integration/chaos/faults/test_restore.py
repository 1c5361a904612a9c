"""A backup of a real cluster is restored to the entry that was asked for, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import bascule

from chaos.evidence.folder import read_run
from chaos.evidence.given_up import given_up_operations
from chaos.gameday.errors import FaultError
from chaos.scenarios.load import scenario_source
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
        with pytest.raises(FaultError, match="a run folder"):
            cluster.strike("data-lost", "cluster")
        cluster.heal()
        assert cluster.wait_healthy().broken == ()


SHORTER = {
    "steady_s = 5": "steady_s = 1",
    "fault_s = 12": "fault_s = 4",
    "after_heal_s = 5": "after_heal_s = 1",
    "at_s = 11": "at_s = 4",
    "trail = true": "",  # it has its own tests
    "after_s = 10": "after_s = 5",
    "back_s = 8": "back_s = 4",
    "recovery_s_max = 120": "recovery_s_max = 300",
    "rto_s_max = 120": "rto_s_max = 300",
    "within_s = 10": "within_s = 100",
    "restore_loss_s_max = 30": "restore_loss_s_max = 300",
    'target = "replicas"': 'target = "replicas"\nincrementals = 1',
    'log_statement = "all"': 'log_statement = "all"\nsummarize_wal = "on"',
}
"""The scenario ``restore``, in less time, with limits that a slow machine keeps, and from a full
backup with an incremental one on it."""


def test_a_cluster_without_any_data_goes_on_from_the_entry_that_was_named(tmp_path: Path) -> None:
    out, shorter = tmp_path / "run", tmp_path / "shorter.toml"
    text = scenario_source("restore")
    for whole, short in SHORTER.items():
        assert f"\n{whole}\n" in text
        text = text.replace(f"\n{whole}\n", f"\n{short}\n")
    shorter.write_text(text, encoding="utf-8")
    done = bascule("drill", str(shorter), "--rate", "20", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(out)
    assert run.damage == ()
    [rebuild] = run.rebuilds
    assert rebuild.error is None
    assert rebuild.backup_timeline == 1
    assert rebuild.named_timeline == 2, "the archive goes on over the promotion"
    assert (rebuild.timeline or 0) > 2
    gone = {one.id for one in given_up_operations(run)}
    assert gone, "entries went on after the one that was named, and were acknowledged"
    for read in run.final_reads:
        there = {row.id for row in read.rows}
        assert rebuild.entry in there
        assert not gone & there
    answers = json.loads(bascule("evidence", str(out), "--prd-s", "300", "--json").stdout)
    assert answers["subjects"]["restore"]["answer"] == "held"
    assert answers["objectives"]["prd_entries"]["found"] == len(gone)
    assert answers["objectives"]["prd_s"]["answer"] == "within"
    assert answers["subjects"]["withdrawal"]["answer"] == "held"
