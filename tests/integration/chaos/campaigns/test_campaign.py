"""A campaign on the lab: killed in the middle of a run, and gone on with in a lab that is kept.

Its canary is written into the journal by hand: those scenarios have drills of their own.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.commands.commands import bascule, running, wait_until
from support.evidence.campaigns import a_run

from chaos.campaigns.campaign import Budget, begin_campaign
from chaos.campaigns.journal import append, read_journal
from chaos.campaigns.limits import load_limits
from chaos.findings import Verdict
from chaos.scenarios.load import load_scenario
from cluster.topology.load import find_topology

LIMITS = """
faults_max = 1
duration_s_max = 5
families = ["etcd"]
without = ["dcs-wiped", "dcs-restored"]
workloads = ["ledger"]
ttl_s_max = 20
witness = "never"
"""
RUN_TIMEOUT_S = 120.0


def begun(tmp_path: Path) -> Path:
    """The folder of a campaign of three runs whose first, a canary, is over."""
    folder, limits = tmp_path / "campaign", tmp_path / "limits.toml"
    limits.write_text(LIMITS)
    begin_campaign(
        folder,
        topologies=[find_topology("three-sites")],
        limits=load_limits(limits),
        budget=Budget(runs=3),
        seed=5,
        rate_per_s=20.0,
    )
    append(folder, a_run(1, verdict="invalid", is_canary=True))
    return folder


@pytest.mark.slow
def test_a_campaign_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    second = folder / "runs" / "0002" / "run.json"
    with running("campaign", "--resume", str(folder)) as process:
        wait_until(second.exists, timeout_s=RUN_TIMEOUT_S, what="the second run begins")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert [run.n for run in read_journal(folder).runs] == [1]

    done = bascule("campaign", "--resume", str(folder), "--json", timeout_s=RUN_TIMEOUT_S)
    said: dict[str, Any] = json.loads(done.stdout)
    assert (said["canaries"], said["found_out"], said["runs"]) == (1, 1, 2), done.stderr
    journal = read_journal(folder)
    assert [run.n for run in journal.runs] == [1, 2, 3]
    assert (folder / "runs" / "0002-aside-1" / "run.json").exists()
    # A busy machine may leave a run UNKNOWN; nothing may be found.
    assert done.returncode == {Verdict.VALID: 0, Verdict.UNKNOWN: 4}[journal.verdict]
    asked = [json.loads((folder / run.folder / "run.json").read_text()) for run in journal.drawn]
    for drawn, info in zip(journal.drawn, asked, strict=True):
        assert (drawn.lost, drawn.split_brain) == (0, False)
        scenario = load_scenario(str(folder / drawn.schedule))
        assert [step.fault for step in scenario.faults] == [one.fault for one in drawn.faults]
        assert f"bascule drill {folder / drawn.schedule} --topology" in info["command"]
    first, second = journal.drawn
    was_made_again = (folder / "runs" / "0003-aside-1").exists()  # the machine was too busy for it
    if first.verdict == "valid" and not was_made_again:
        assert [info["substrate"]["kept"] for info in asked] == ["run 1 in lab-1", "run 2 in lab-1"]
        assert second.cost_s is not None
        assert first.cost_s is not None
        assert second.cost_s < first.cost_s, "the lab was there"
    assert not list((folder / "labs").glob("*"))
    assert (folder / "report.html").exists()
    assert (folder / "junit.xml").exists()


@pytest.mark.slow
def test_two_labs_side_by_side_take_a_block_each(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    done = bascule(
        "campaign", "--resume", str(folder), "--labs", "2", "--json", timeout_s=2 * RUN_TIMEOUT_S
    )
    journal = read_journal(folder)
    assert sorted(run.n for run in journal.runs) == [1, 2, 11], done.stderr
    # A busy machine may leave a run UNKNOWN, which was then made once more alone.
    assert done.returncode == {Verdict.VALID: 0, Verdict.UNKNOWN: 4}[journal.verdict], done.stderr
    for run in journal.drawn:
        assert (run.lost, run.split_brain) == (0, False)
        assert run.labs == (2 if run.attempts == 1 else 1)
        assert (folder / run.folder / "report.html").exists()
    assert not list((folder / "labs").glob("*/*"))
