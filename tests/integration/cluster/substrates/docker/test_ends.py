"""However a drill in containers ends, the engine has nothing of it afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import psutil
import pytest
from support.commands.commands import (
    bascule,
    descendants,
    events,
    running,
    wait_gone,
    wait_phase,
    wait_until,
    wait_while_running,
)
from support.docker.docker_things import docker, nothing_left, run_of, things_of

from cluster.substrates.docker.leftovers import remove_run
from cluster.substrates.owner import this_process

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("images")]

END_TIMEOUT_S = 180.0
DRILL = ("drill", "--substrate", "compose", "--no-witness")
AFTERWARDS_S = 5.0
"""An engine that is asked to make a container has done so by then."""
THINGS_MIN = 6 + 10 + 6
"""Containers, networks and volumes, without the load's."""


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGTERM, "boot"), (signal.SIGINT, "fault")])
def test_a_signal_leaves_nothing_but_honest_evidence(
    tmp_path: Path, number: int, phase: str
) -> None:
    run = tmp_path / "run"
    with running(*DRILL, "host-loss", "--out", str(run)) as process:
        wait_phase(process, run, phase)
        process.send_signal(number)
        output, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 130, errors
    assert "UNKNOWN" in output
    assert things_of(run) == []
    assert [event["reason"] for event in events(run, "interrupted")] == ["stopped by a signal"]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with running(*DRILL, "steady", "--out", str(run)) as process:
        wait_phase(process, run, "steady")
        assert len(things_of(run)) >= THINGS_MIN
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 130
    assert things_of(run) == []


def test_kill_9_of_the_command_leaves_nothing(tmp_path: Path) -> None:
    """What keeps the project sees that the command is gone, and cleans up."""
    run = tmp_path / "run"
    with running(*DRILL, "steady", "--out", str(run)) as process:
        wait_phase(process, run, "steady")
        ours = descendants(process.pid)
        process.kill()
        process.communicate(timeout=END_TIMEOUT_S)
    wait_until(nothing_left(run), timeout_s=END_TIMEOUT_S, what="the end of every container")
    wait_gone(ours)
    judged = bascule("check", str(run))
    assert judged.returncode == 4, judged.stderr


@pytest.mark.parametrize("made", [1, 20])
def test_kill_9_of_the_command_while_the_project_is_made(tmp_path: Path, made: int) -> None:
    """What a client has asked for appears later, whether it lives or not."""
    run = tmp_path / "run"
    with running(*DRILL, "steady", "--out", str(run)) as process:
        wait_made(process, run, made)
        ours = descendants(process.pid)
        process.kill()
        process.communicate(timeout=END_TIMEOUT_S)
    wait_gone(ours, timeout_s=END_TIMEOUT_S)
    assert_stays_away(run)


@pytest.mark.parametrize("made", [0, 16])
def test_kill_9_of_what_keeps_the_project(tmp_path: Path, made: int) -> None:
    run = tmp_path / "run"
    with running(*DRILL, "steady", "--out", str(run)) as process:
        wait_made(process, run, made)
        keeper_of(process.pid).kill()
        process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 3
    assert_stays_away(run)


@pytest.mark.parametrize("made", [1, 20])
def test_a_signal_while_the_project_is_made(tmp_path: Path, made: int) -> None:
    run = tmp_path / "run"
    with running(*DRILL, "steady", "--out", str(run)) as process:
        wait_made(process, run, made)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 130, errors
    assert_stays_away(run)


def test_what_was_left_by_kill_9_of_everything_is_swept(tmp_path: Path) -> None:
    """And nothing else: what another run has, whose keeper lives, stays."""
    run = tmp_path / "run"
    network = "bascule-test-of-sweep"
    alive = f"--label=org.bascule.owner=drill --label=org.bascule.run={network}".split()
    with running(*DRILL, "steady", "--out", str(run)) as process:
        wait_phase(process, run, "steady")
        everything = [psutil.Process(process.pid), *descendants(process.pid)]
        for act in (psutil.Process.suspend, psutil.Process.kill):  # none sees another's end
            for one in everything:
                with suppress(psutil.NoSuchProcess):  # a docker client, which has done its work
                    act(one)
        process.communicate(timeout=END_TIMEOUT_S)
    assert len(things_of(run)) >= THINGS_MIN
    docker("network", "create", *alive, f"--label=org.bascule.keeper={this_process()}", network)
    try:
        swept = bascule("compose", "sweep")
        assert swept.returncode == 0, swept.stderr
        assert f"removed container bascule-{run_of(run)}-db-paris-patroni" in swept.stdout
        assert things_of(run) == []
        assert network not in swept.stdout
        assert docker("network", "inspect", "--format", "{{.Name}}", network).strip() == network
    finally:
        remove_run(network)


def test_a_container_that_somebody_kills_is_a_finding(tmp_path: Path) -> None:
    run, scenario = tmp_path / "run", tmp_path / "impatient.toml"
    # It will not be whole again: how long that is waited for proves nothing.
    steady = (files("chaos.scenarios") / "builtin" / "steady.toml").read_text()
    assert "recovery_s_max = 60" in steady
    scenario.write_text(steady.replace("recovery_s_max = 60", "recovery_s_max = 5"))
    with running(*DRILL, str(scenario), "--out", str(run)) as process:
        wait_phase(process, run, "steady")
        wait_until(
            lambda: bool(events(run, "leader-key")), timeout_s=END_TIMEOUT_S, what="a leader"
        )
        primary = str(events(run, "leader-key")[-1]["holder"])
        replica = next(name for name in ("db-paris", "db-orsay") if name != primary)
        docker("kill", f"bascule-{run_of(run)}-{replica}-patroni")
        output, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 1, errors
    verdict = json.loads((run / "verdict.json").read_text())
    assert "unexpected-exit" in [finding["kind"] for finding in verdict["findings"]]
    assert f"patroni on {replica}" in output
    assert things_of(run) == []


def test_a_kept_project_stays_until_a_signal_and_has_the_settings_asked_for(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    asked = ("--ttl", "30", "--loop-wait", "10", "--durability", "async")
    options = (*asked, "--workload", "transfers", "--keep", "--out", str(run))
    with running(*DRILL, "steady", *options) as process:
        wait_phase(process, run, "done")
        name = f"bascule-{run_of(run)}-db-orsay-patroni"
        wait_until(
            lambda: docker("exec", name, "patronictl", "list").count("streaming") == 2,
            timeout_s=END_TIMEOUT_S,
            what="two replicas that stream",
        )
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 0, errors
    assert " VALID " in output
    assert things_of(run) == []
    (settings,) = events(run, "settings")
    assert (settings["ttl_s"], settings["loop_wait_s"]) == (30, 10)
    assert settings["synchronous_standby_names"] == ""


def keeper_of(pid: int) -> psutil.Process:
    """The process inside that has the project."""
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):  # a docker client, which has done its work
            if "chaos.drill.process" in child.cmdline():
                return child
    raise AssertionError("nothing keeps the project")


def wait_made(process: subprocess.Popen[str], run: Path, number: int) -> None:
    """Wait until a drill's project is written down, and so many of its things are made."""
    wait_while_running(
        process,
        lambda: bool(run_of(run)) and len(things_of(run)) >= number,
        timeout_s=END_TIMEOUT_S,
        what=f"{number} things of {run}",
    )


def assert_stays_away(run: Path) -> None:
    """The engine has nothing of a drill, and gets nothing for a while."""
    end_s = time.monotonic() + AFTERWARDS_S
    while time.monotonic() < end_s:
        assert things_of(run) == []
        time.sleep(0.2)
