"""``bascule up`` to ``bascule down``: sites that stay, broken by hand, judged like a drill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
)
from support.gameday.hands import look, said, wait_whole
from support.lab.own_machine import OwnMachine

from chaos.gameday.labs import LivingLab, find, names

SILENT = ("--quiet", "--json")


@pytest.fixture(autouse=True)
def same_folders(machine: OwnMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process looks for labs where the commands put them."""
    monkeypatch.setattr(tempfile, "tempdir", os.environ["TMPDIR"])


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., LivingLab]]:
    """Raises labs by name; whatever a test leaves of them is killed."""
    pids: list[int] = []

    def raise_lab(name: str, *options: str) -> LivingLab:
        done = bascule("up", name, *SILENT, "--out", str(tmp_path / f"run-{name}"), *options)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        pids.append(found["supervisor_pid"])
        return find(name)

    yield raise_lab
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_one_lab_through_all_its_commands(
    tmp_path: Path, machine: OwnMachine, up: Callable[..., LivingLab]
) -> None:
    before = machine.surroundings()
    lab = up("lab")
    sites = descendants(lab.pid)
    assert os.getsid(lab.pid) == lab.pid  # the terminal of bascule up is not its own
    assert "lab lab is up already, since 20" in said("up", code=2)

    found = json.loads(said("status", "--json"))
    assert found["phase"] == "fault"
    assert found["missing"] is None
    assert set(found["nodes"]) == {"db-paris", "db-orsay", "db-saint-cloud"}
    assert {one["role"] for one in found["nodes"].values()} == {"primary", "replica"}
    assert said("psql", "-Atc", "SELECT 1, pg_is_in_recovery()") == "1|f\n"
    assert said("psql", "--on", "replica", "-Atc", "SELECT pg_is_in_recovery()") == "t\n"
    with on_port(machine, found["urls"]["metrics"]) as metrics:
        assert 'bascule_drill_phase{cluster="drill-by-hand",phase="fault"} 1.0' in metrics

    replica = next(name for name, node in found["nodes"].items() if node["role"] == "replica")
    assert said("strike", "link-cut", replica).startswith(f"link-cut on {replica}: cable pulled")
    assert "is in force already" in said("strike", "link-cut", replica, code=3)
    assert "there is no such fault (did you mean link-cut?)" in said("strike", "link-cat", code=2)
    assert [one.words for one in look(lab).broken] == [f"link-cut on {replica}"]
    with running("watch") as watch:
        assert watch.stdout is not None
        line = watch.stdout.readline()
    assert f"broken: link-cut on {replica}" in line
    assert "cable plugged in again" in said("heal", "link-cut", replica)
    assert said("heal") == "nothing was broken\n"
    wait_whole(lab)

    assert "Successfully switched over" in said("switchover", replica)
    wait_until(lambda: look(lab).primary == replica, timeout_s=30, what=f"{replica} leads")
    where = said("psql", "-Atc", "SELECT current_setting('cluster_name'), pg_is_in_recovery()")
    assert where.endswith("|f\n")
    wait_whole(lab)
    assert f"{replica}.patroni:" in said("logs", replica, "patroni", "--lines", "5")
    assert "no log of db-rome; there are" in said("logs", "db-rome", code=2)
    assert said("enter", "--on", replica, "lab", "patronictl", "list").count("streaming") == 2

    ended = said("down")
    run = tmp_path / "run-lab"
    assert " VALID " in ended
    assert f"the cut of the link of {replica} and the switchover away from" in ended
    wait_gone(sites)
    assert machine.surroundings() == before
    assert (run / "report.html").stat().st_size > 10_000
    assert json.loads((run / "verdict.json").read_text())["scenario"] == "by-hand"
    assert [one["fault"] for one in events(run, "fault")] == ["link-cut", "switchover"]
    assert [one["fault"] for one in events(run, "heal")] == ["link-cut"]
    assert "no lab is up" in said("status", code=2)
    assert " VALID " in said("check", str(run))


@contextmanager
def on_port(machine: OwnMachine, url: str) -> Iterator[str]:
    """What is served at a URL on the machine of the test."""
    command = [*machine.enter, "curl", "--silent", "--fail", "--max-time", "10", url]
    yield subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_two_labs_by_name_and_a_supervisor_that_dies(
    tmp_path: Path, machine: OwnMachine, up: Callable[..., LivingLab]
) -> None:
    """Killed with SIGKILL it leaves nothing that runs; the next command says so and clears up."""
    before = machine.surroundings()
    a = up("a", "--no-load", "--topology", "two-sites-witness")
    b = up("b", "--topology", "two-sites-witness", "--rate", "5")
    sites = descendants(a.pid)
    assert names() == ["a", "b"]
    assert "several labs are up: say which one (a, b)" in said("heal", code=2)
    assert {one["name"] for one in json.loads(said("status", "--all", "--json"))} == {"a", "b"}
    assert look(a).load == "not started"
    assert look(b).load == "running"

    os.kill(a.pid, signal.SIGKILL)
    wait_gone(sites)
    words = said("status", "a", code=3)
    assert "the supervisor of lab a has died, and its sites with it" in words
    assert f"bascule check {tmp_path / 'run-a'}" in words
    assert names() == ["b"]

    sites = descendants(b.pid)
    assert "the service is judged up to now" in said("load", "stop")
    assert "begins again with a new lab" in said("load", "start", code=3)
    os.kill(b.pid, signal.SIGKILL)
    wait_gone(sites)
    ended = said("down", code=3)  # judged as far as it came
    assert "has died" in ended
    assert " UNKNOWN " in ended
    assert (tmp_path / "run-b" / "report.html").exists()
    assert machine.surroundings() == before


@pytest.mark.slow
def test_an_interruption_while_it_is_raised_leaves_nothing(
    tmp_path: Path, machine: OwnMachine
) -> None:
    before = machine.surroundings()
    run = tmp_path / "run"
    with running("up", "--out", str(run)) as process:
        wait_phase(process, run, "boot")
        lab = find("lab")
        sites = descendants(lab.pid)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert output == ""
    assert "interrupted: ending what was raised so far" in errors
    wait_gone(sites)
    assert names() == []
    assert machine.surroundings() == before


def test_a_port_that_is_taken_is_refused_before_anything_is_raised(
    tmp_path: Path, machine: OwnMachine
) -> None:
    holder = [*machine.enter, "python3", "-c", HOLD_PORT]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "up\n"
        words = said("up", "--ports", "15432", "--out", str(tmp_path / "run"), code=2)
        assert "--ports: nobody can listen on 127.0.0.1:15433: Address already in use" in words
    assert names() == []
    assert not (tmp_path / "run").exists()


HOLD_PORT = (
    "import socket, sys; held = socket.create_server(('127.0.0.1', 15433));"
    " print('up', flush=True); sys.stdin.read()"
)
