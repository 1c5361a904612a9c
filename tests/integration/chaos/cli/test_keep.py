"""``--keep`` leaves the lab up for a look, and ``bascule enter`` leads into it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.commands.commands import (
    LOW_LOAD,
    bascule,
    descendants,
    running,
    wait_gone,
    wait_phase,
)
from support.lab.own_machine import OwnMachine

END_TIMEOUT_S = 30.0


@pytest.mark.slow
def test_a_kept_lab_can_be_looked_into_and_ends_with_a_signal(
    tmp_path: Path, machine: OwnMachine
) -> None:
    before = machine.surroundings()
    run = tmp_path / "run"
    with running("drill", "steady", "--keep", *LOW_LOAD, "--out", str(run)) as process:
        wait_phase(process, run, "done")
        lab = descendants(process.pid)
        for _ in range(100):  # the password file comes a moment after the last event
            query = ("psql", "-Atc", "SELECT count(*) > 100 FROM bascule.ledger")
            asked = bascule("enter", "--on", "db-paris", str(run), *query)
            if asked.returncode == 0:
                break
        assert asked.stdout == "t\n", asked.stderr
        members = bascule("enter", "--on", "db-orsay", str(run), "patronictl", "list")
        assert members.stdout.count("streaming") == 2, members.stderr
        anywhere = bascule("enter", str(run), "patronictl", "list")  # in the network of some host
        assert anywhere.stdout.count("streaming") == 2, anywhere.stderr
        assert anywhere.stderr == "bascule: on db-paris (--on HOST for another one)\n"
        healthy = bascule("enter", str(run), "etcdctl", "endpoint", "health")  # not of this host
        assert healthy.returncode == 0, healthy.stderr
        assert (healthy.stdout + healthy.stderr).count("is healthy") == 3
        checked = bascule("check", str(run))  # it is not over, so its manifest is not missing
        assert checked.returncode == 0, checked.stdout
        wrong = bascule("enter", "--on", "db-rome", str(run))
        assert wrong.returncode == 2
        assert "no host db-rome" in wrong.stderr
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 0, errors
    assert " VALID " in output
    wait_gone(lab)
    assert machine.surroundings() == before
    gone = bascule("enter", str(run))
    assert gone.returncode == 2
    assert "no lab is up" in gone.stderr
