"""Which lab ``bascule enter`` finds, and where it is when not told: on a host in reach."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands.commands import wait_until
from support.evidence.tiny import event

from chaos.cli.enter import choose_host, lab_pid, where
from chaos.gameday.labs import LabNameError
from cluster.substrates.lab import lab_init
from cluster.topology.load import find_topology


def test_the_first_postgres_that_no_fault_keeps_out_of_reach() -> None:
    topology = find_topology("three-sites")
    off = event(1.0, "fault", fault="host-power-cut", target="db-paris")
    cut = event(2.0, "fault", fault="link-cut", target="db-orsay")
    killed = event(2.0, "fault", fault="process-kill", target="db-saint-cloud")
    back = event(3.0, "heal", fault="host-power-cut", target="db-paris")
    lost = event(4.0, "fault", fault="host-power-cut", target="db-saint-cloud")
    assert choose_host(topology, []) == "db-paris"
    assert choose_host(topology, [off]) == "db-orsay"
    assert choose_host(topology, [off, cut, killed]) == "db-saint-cloud"
    assert choose_host(topology, [off, cut, back]) == "db-paris"
    assert choose_host(topology, [off, cut, lost]) == "db-paris"  # none is better


def wait_known(folder: Path, pid: int) -> None:
    """A process has its command line a moment after it was started."""
    wait_until(lambda: lab_pid(folder) == pid, timeout_s=10.0, what=f"{pid} as a lab's")


def test_a_pid_that_somebody_else_got_is_no_lab(tmp_path: Path) -> None:
    """A drill that was killed leaves its ``lab.pid``; the kernel gives the number away again."""
    note = tmp_path / "lab.pid"
    assert lab_pid(tmp_path) is None
    for text in (f"{os.getpid()}\n", "0\n", "-1\n", "", "four\n"):
        note.write_text(text)
        assert lab_pid(tmp_path) is None, text
    lifeline, hold = os.pipe()
    command = [sys.executable, "-I", "-S", lab_init.__file__, str(lifeline), "cat"]
    with subprocess.Popen(command, pass_fds=(lifeline,), stdin=subprocess.PIPE) as lab:
        os.close(lifeline)
        note.write_text(f"{lab.pid}\n")
        wait_known(tmp_path, lab.pid)
        os.close(hold)
    assert lab_pid(tmp_path) is None


def test_what_keeps_containers_is_known_by_its_lifeline(tmp_path: Path) -> None:
    note = tmp_path / "lab.pid"
    lifeline, hold = os.pipe()
    command = [sys.executable, "-c", f"import os; os.read({lifeline}, 1)", "--lifeline", "9"]
    with subprocess.Popen(command, pass_fds=(lifeline,)) as keeper:
        note.write_text(f"{keeper.pid}\n")
        os.close(lifeline)
        wait_known(tmp_path, keeper.pid)
        os.close(hold)
    assert lab_pid(tmp_path) is None


def test_the_first_word_is_a_lab_or_a_run_folder_or_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").touch()
    (tmp_path / "psql").mkdir()
    listed = (str(run), "patronictl", "list")
    assert where(None, listed, is_typed=False) == (run, listed[1:])
    assert where("mine", listed, is_typed=False) == (run, listed[1:])  # of the variable
    assert where(None, ("run",), is_typed=False) == (Path("run"), ())
    for name, words in ((None, ("psql", "-c", "TABLE x")), ("mine", ("run",))):
        with pytest.raises(LabNameError):  # none is up, and the words are a command
            where(name, words, is_typed=name is not None)
