"""``--keep`` leaves the lab up for a look, and ``bascule enter`` leads into it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.commands import (
    bascule,
    descendants,
    running,
    surroundings,
    wait_gone,
    wait_phase,
)

END_TIMEOUT_S = 30.0
pytestmark = pytest.mark.usefixtures("own_temporary_folder")


@pytest.mark.slow
def test_a_kept_lab_can_be_looked_into_and_ends_with_a_signal(tmp_path: Path) -> None:
    before = surroundings()
    run = tmp_path / "run"
    with running("drill", "steady", "--keep", "--out", str(run)) as process:
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
        wrong = bascule("enter", "--on", "db-rome", str(run))
        assert wrong.returncode == 2
        assert "no host db-rome" in wrong.stderr
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 0, errors
    assert " VALID " in output
    wait_gone(lab)
    assert surroundings() == before
    gone = bascule("enter", str(run))
    assert gone.returncode == 2
    assert "no lab is up" in gone.stderr
