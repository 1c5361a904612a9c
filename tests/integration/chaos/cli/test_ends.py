"""However the command ends, nothing of the lab is left: no process, and nothing of what
``support.lab.own_machine`` looks at."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from support.commands.commands import (
    LOW_LOAD,
    bascule,
    descendants,
    events,
    running,
    wait_gone,
    wait_phase,
)
from support.lab.own_machine import OwnMachine

from cluster.binaries import find_binaries

LAB_PROCESSES_MIN = 25
"""Nine hosts with an init each, three etcd, three Patroni, three PostgreSQL of several each."""
END_TIMEOUT_S = 30.0


@pytest.mark.slow
def test_success_leaves_nothing(tmp_path: Path, machine: OwnMachine) -> None:
    before = machine.surroundings()
    with running("drill", "steady", *LOW_LOAD, "--out", str(tmp_path / "run")) as process:
        wait_phase(process, tmp_path / "run", "fault")
        lab = descendants(process.pid)
        _, errors = process.communicate(timeout=END_TIMEOUT_S * 2)
    assert process.returncode == 0, errors
    assert len(lab) >= LAB_PROCESSES_MIN
    wait_gone(lab)
    assert machine.surroundings() == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_but_honest_evidence(
    tmp_path: Path, machine: OwnMachine, number: int
) -> None:
    """Exit 130, and a verdict that says that the drill was broken off."""
    before = machine.surroundings()
    run = tmp_path / "run"
    with running("drill", "host-loss", "--out", str(run)) as process:
        wait_phase(process, run, "fault")
        lab = descendants(process.pid)
        process.send_signal(number)
        output, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 130, errors
    assert "UNKNOWN" in output
    wait_gone(lab)
    assert machine.surroundings() == before
    assert [event["reason"] for event in events(run, "interrupted")] == ["stopped by a signal"]
    assert json.loads((run / "verdict.json").read_text())["verdict"] == "unknown"
    assert not (run / "lab.pid").exists()


@pytest.mark.slow
def test_a_second_signal_ends_at_once(tmp_path: Path, machine: OwnMachine) -> None:
    before = machine.surroundings()
    run = tmp_path / "run"
    with running("drill", "steady", "--out", str(run)) as process:
        wait_phase(process, run, "steady")
        lab = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 130
    wait_gone(lab)
    assert machine.surroundings() == before


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["boot", "steady"])
def test_kill_9_leaves_nothing(tmp_path: Path, machine: OwnMachine, phase: str) -> None:
    """Nobody is left to clean up, and nothing is there to be cleaned; a new drill can begin."""
    before = machine.surroundings()
    run = tmp_path / "run"
    with running("drill", "steady", "--out", str(run)) as process:
        wait_phase(process, run, phase)
        lab = descendants(process.pid)
        process.kill()
        process.communicate(timeout=END_TIMEOUT_S)
    assert lab
    wait_gone(lab)
    assert machine.surroundings() == before
    judged = bascule("check", str(run))
    assert judged.returncode == 4, judged.stderr
    assert "UNKNOWN" in judged.stdout


@pytest.mark.slow
def test_kill_9_of_what_is_inside(tmp_path: Path, machine: OwnMachine) -> None:
    """The director dies: the command says that the drill could not run, and nothing is left."""
    before = machine.surroundings()
    run = tmp_path / "run"
    with running("drill", "steady", "--out", str(run)) as process:
        wait_phase(process, run, "steady")
        lab = descendants(process.pid)
        director = next(
            one for one in lab if "chaos.drill.process" in one.cmdline() and is_lowest(one, lab)
        )
        os.kill(director.pid, signal.SIGKILL)
        process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 3
    wait_gone(lab)
    assert machine.surroundings() == before


@pytest.mark.slow
def test_failure_to_boot_leaves_nothing_and_says_why(tmp_path: Path, machine: OwnMachine) -> None:
    """A PostgreSQL that cannot start: exit 3, with the words of the log, quickly."""
    before = machine.surroundings()
    bindir = broken_postgres(tmp_path / "bin")
    run = tmp_path / "run"
    done = bascule("drill", "--pg-bindir", str(bindir), "--out", str(run), timeout_s=100)
    assert done.returncode == 3, done.stderr
    assert "ended with 1 while the cluster was raised" in done.stderr
    assert "this initdb is broken on purpose" in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.surroundings() == before


def is_lowest(process: psutil.Process, lab: list[psutil.Process]) -> bool:
    """Of ``unshare``, the lab's init and the director, which all have its words: the director."""
    children = {child.pid for child in process.children()}
    return not any(one.pid in children and "chaos.drill.process" in one.cmdline() for one in lab)


def broken_postgres(folder: Path) -> Path:
    """A PostgreSQL whose initdb fails."""
    real = find_binaries().pg_bindir
    folder.mkdir()
    for program in real.iterdir():
        (folder / program.name).symlink_to(program)
    initdb = folder / "initdb"
    initdb.unlink()
    initdb.write_text("#!/bin/sh\necho this initdb is broken on purpose >&2\nexit 1\n")
    initdb.chmod(0o755)
    return folder
