"""``chaos run``, as a user does it: examples hold, deviate when they must, and leave nothing."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from support.commands import chaostoolkit
from support.commands.chaostoolkit import (
    EXAMPLES,
    activity,
    demanding,
    journal_in,
    left_behind,
    running,
    wait_said,
)
from support.commands.commands import descendants, wait_gone, wait_until
from support.evidence.reported import Reported

EXPERIMENT = EXAMPLES / "experiment.json"
DRILL = EXAMPLES / "drill.json"
PATIENT = (
    *("--var", "rto_s_max:float=240", "--var", "service_within_s:float=240"),
    *("--var", "whole_within_s:float=240"),
)
"""A loaded machine takes its time: no test is about how long a failover takes."""
PASSWORD = "not-a-secret-either"
WAITING = "Probe: until-writes-are-acknowledged-again"


@pytest.mark.slow
def test_the_experiment_of_the_example_holds(tmp_path: Path) -> None:
    ended = chaostoolkit.run(tmp_path, EXPERIMENT, *PATIENT)
    assert (ended.code, ended.journal["status"]) == (0, "completed"), ended.said
    assert ended.journal["deviated"] is False
    assert ended.journal["steady_states"]["before"]["steady_state_met"] is True
    assert ended.journal["steady_states"]["after"]["steady_state_met"] is True
    assert [run["status"] for run in ended.journal["run"]] == ["succeeded"] * 3
    assert ended.output("until-writes-are-acknowledged-again") is True
    lost = ended.output("the-primary's-host-loses-its-power")
    assert ended.output("the-host-comes-back") == [lost]
    outages_s = ended.extension["outages_s"]
    measured = ended.journal["steady_states"]["after"]["probes"][-1]["output"]
    assert measured == max(outages_s) > 0
    assert ended.extension["versions"]["patroni"].startswith("4.")
    assert f"primary  {lost}" not in ended.extension["state"]
    assert "logs" not in ended.extension
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_an_outage_above_the_limit_deviates(tmp_path: Path) -> None:
    """No primary hands over within a hundredth of a second."""
    wanted = json.loads(EXPERIMENT.read_text(encoding="utf-8"))
    service_is_back = wanted["method"][1]
    wanted["method"] = [activity("action", "actions", "switchover"), service_is_back]
    ended = chaostoolkit.run(tmp_path, wanted, *PATIENT, "--var", "rto_s_max:float=0.01")
    assert (ended.code, ended.journal["status"]) == (1, "completed"), ended.said
    assert ended.journal["deviated"] is True
    refused = ended.journal["steady_states"]["after"]["probes"][-1]
    assert refused["activity"]["name"] == "no-outage-was-too-long"
    assert refused["tolerance_met"] is False
    assert refused["output"] > 0.01
    assert "not tolerated: the outage was" in ended.said
    assert any("db-" in line for line in ended.extension["logs"])


@pytest.mark.slow
def test_the_drill_of_the_example_holds_and_leaves_its_run(tmp_path: Path) -> None:
    ended = chaostoolkit.run(tmp_path, DRILL, *PATIENT[:2], "--var", "scenario=switchover")
    assert (ended.code, ended.journal["status"]) == (0, "completed"), ended.said
    assert ended.journal["deviated"] is False
    output = ended.output("the-drill")
    assert isinstance(output, dict)
    folder = Path(output["run"])
    assert folder.parent == tmp_path / "runs"
    written = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    assert output["verdict"] == written["verdict"] == "valid"
    assert output["acknowledged"] == written["acknowledged"] > 0
    assert output["scenario"] == "switchover"
    assert output["command"] == f"bascule drill switchover --seed {output['seed']}"
    assert Path(output["report"]).is_file()
    assert ended.journal["steady_states"]["after"]["probes"][0]["output"] == output
    assert "phase: recovery" in ended.said


def test_a_run_that_lost_writes_deviates(tmp_path: Path, async_loss: Reported) -> None:
    probe = activity("probe", "probes", "verdict", {"run": str(async_loss.folder)})
    wanted = demanding(probe, activity("probe", "tolerances", "nothing_lost"), method=[])
    ended = chaostoolkit.run(tmp_path, wanted)
    assert (ended.code, ended.journal["deviated"]) == (1, True), ended.said
    assert "not tolerated: acknowledged writes were lost: " in ended.said
    refused = ended.journal["steady_states"]["after"]["probes"][-1]
    assert refused["output"]["lost"] == async_loss.verdict.lost


def test_a_run_that_lost_nothing_holds(tmp_path: Path, host_loss: Reported) -> None:
    probe = activity("probe", "probes", "verdict", {"run": str(host_loss.folder)})
    wanted = demanding(probe, activity("probe", "tolerances", "nothing_lost"), method=[])
    ended = chaostoolkit.run(tmp_path, wanted)
    assert (ended.code, ended.journal["deviated"]) == (0, False), ended.said


def test_a_drill_that_can_not_be_run_fails_with_its_words(tmp_path: Path) -> None:
    probe = activity("probe", "probes", "verdict")
    drill = activity("action", "actions", "run_drill", {"scenario": "earthquake"})
    ended = chaostoolkit.run(
        tmp_path, demanding(probe, activity("probe", "tolerances", "is_valid"), method=[drill])
    )
    assert ended.code == 1
    assert ended.journal["deviated"] is True
    assert ended.journal["run"][0]["status"] == "failed"
    words = "".join(ended.journal["run"][0]["exception"])
    assert "the drill earthquake ended with 2" in words
    assert "earthquake" in ended.said
    assert "Traceback" not in ended.said


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2], ids=["ctrl-c", "term", "harsh"]
)
def test_an_interrupted_experiment_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, EXPERIMENT, *PATIENT) as process:
        wait_said(process, WAITING)
        below = descendants(process.pid)
        assert below
        process.send_signal(number)
        said, _ = process.communicate(timeout=chaostoolkit.TIMEOUT_S)
        wait_gone(below)
    assert process.returncode == 1, said
    journal = journal_in(tmp_path)
    assert journal["status"] == "interrupted"
    assert journal["rollbacks"] == []
    assert [one["name"] for one in journal["experiment"]["extensions"]] == ["bascule"]
    assert "Traceback" not in said
    assert left_behind(tmp_path) == []


def test_ctrl_c_while_the_cluster_is_raised_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, EXPERIMENT) as process:
        wait_said(process, "Raising the cluster default")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=chaostoolkit.TIMEOUT_S)
    assert process.returncode == 1, said
    assert journal_in(tmp_path)["status"] == "interrupted"
    assert left_behind(tmp_path) == []


def test_a_killed_experiment_takes_its_cluster_along(tmp_path: Path) -> None:
    with running(tmp_path, EXPERIMENT) as process:
        wait_said(process, WAITING)
        below = descendants(process.pid)
        assert below
        process.kill()
        process.wait()
        wait_gone(below)


@pytest.mark.slow
def test_ctrl_c_in_a_drill_stops_it_and_leaves_a_judged_run(tmp_path: Path) -> None:
    with running(tmp_path, DRILL) as process:
        wait_said(process, "phase: steady")
        below = descendants(process.pid)
        assert below
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=chaostoolkit.TIMEOUT_S)
        wait_gone(below)
    assert process.returncode == 1, said
    assert journal_in(tmp_path)["status"] == "interrupted"
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "unknown"
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_a_killed_experiment_takes_its_drill_along(tmp_path: Path) -> None:
    with running(tmp_path, DRILL) as process:
        wait_said(process, "phase: steady")
        below = descendants(process.pid)
        assert below
        process.kill()
        process.wait()
        wait_until(
            lambda: not any(one.is_running() for one in below),
            timeout_s=chaostoolkit.TIMEOUT_S,
            what="the end of the drill",
        )
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "unknown"


def test_wrong_arguments_of_the_control_are_refused_before_it_begins(tmp_path: Path) -> None:
    wanted = json.loads(EXPERIMENT.read_text(encoding="utf-8"))
    wanted["controls"][0]["provider"]["arguments"] = {"sites": 5}
    ended = chaostoolkit.run(tmp_path, wanted)
    assert (ended.code, ended.journal) == (1, {})
    assert "Control 'a-cluster-for-this-experiment': sites=5: expected 2 or 3" in ended.said
    assert "Traceback" not in ended.said


def test_a_cluster_that_can_not_be_raised_ends_the_experiment(tmp_path: Path) -> None:
    wanted = json.loads(EXPERIMENT.read_text(encoding="utf-8"))
    wanted["configuration"]["folder"] = str(tmp_path / "no-postgresql-here")
    wanted["controls"][0]["provider"]["arguments"] = {"pg_bindir": "${folder}"}
    ended = chaostoolkit.run(tmp_path, wanted)
    assert (ended.code, ended.journal["status"]) == (1, "interrupted"), ended.said
    assert "no cluster for this experiment: no usable PostgreSQL" in ended.said
    assert f"{tmp_path / 'no-postgresql-here'}: no postgres" in ended.said
    assert ended.journal["run"] == []
    assert "Traceback" not in ended.said


def test_a_process_of_the_team_reaches_the_cluster_and_no_password_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASCULE_TEST_PASSWORD", PASSWORD)
    program = "import os, psycopg; url = os.environ['TEAM_URL']; "
    program += "print(psycopg.connect(url).execute('SELECT current_user').fetchone()[0])"
    probe = {
        "type": "probe",
        "name": "their-own",
        "provider": {"type": "process", "path": sys.executable, "arguments": ["-c", program]},
    }
    answer = {"type": "regex", "pattern": "^team\\s*$", "target": "stdout"}
    wanted = demanding(probe, answer, method=[])
    wanted["configuration"] = {"bascule_username": "team"}
    password = {"type": "env", "key": "BASCULE_TEST_PASSWORD"}
    wanted["secrets"] = {"bascule": {"password": password}}
    provider = {
        "type": "python",
        "module": "chaos.toolkit.control",
        "arguments": {"url_env": "TEAM_URL"},
    }
    wanted["controls"] = [{"name": "cluster", "provider": provider}]
    ended = chaostoolkit.run(tmp_path, wanted)
    assert (ended.code, ended.journal["deviated"]) == (0, False), ended.said
    assert ended.extension["topology"] == "three-sites"
    written = [path for path in tmp_path.iterdir() if path.is_file()]
    assert {path.name for path in written} >= {"journal.json", "chaostoolkit.log"}
    assert [path for path in written if PASSWORD in path.read_text(encoding="utf-8")] == []


def test_a_dry_run_raises_nothing(tmp_path: Path) -> None:
    ended = chaostoolkit.run(tmp_path, EXPERIMENT, "--dry", "activities")
    assert (ended.code, ended.journal["status"]) == (0, "completed"), ended.said
    assert "Raising the cluster" not in ended.said


def test_the_package_is_discovered_by_its_name(tmp_path: Path) -> None:
    done = chaostoolkit.chaos(tmp_path, "discover", "--no-install", "bascule")
    assert done.returncode == 0, done.stdout
    found = json.loads((tmp_path / "discovery.json").read_text(encoding="utf-8"))
    names = {one["name"] for one in found["activities"]}
    assert {"kill_primary", "run_drill", "is_whole", "verdict", "rto_at_most"} <= names
    assert found["system"] == {"lab": "this machine can raise a lab"}
