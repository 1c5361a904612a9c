"""Clocks on paper: how far off, what the file says, who is told of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from cluster.errors import HostError, PrerequisiteError
from cluster.patroni.daemon import CLOCK_VARIABLE
from cluster.substrates.base import ClockShift
from cluster.substrates.lab import clocks
from cluster.substrates.lab.clocks import LabClocks, check_clocks, offset_s
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin

PLAIN = load_builtin("three-sites")
SETTABLE = PLAIN.with_settable_clocks()
AHEAD = ClockShift(step_s=60.0)
FAST = ClockShift(rate=0.1)
DEADLINE_S = 5.0

pytestmark = pytest.mark.anyio


async def test_steps_and_drifts_add_up() -> None:
    assert offset_s([], 100.0) == 0.0
    assert offset_s([(AHEAD, 90.0), (FAST, 80.0), (FAST, 90.0)], 100.0) == pytest.approx(63.0)
    assert offset_s([(ClockShift(step_s=-5.0, rate=-0.5), 90.0)], 100.0) == pytest.approx(-10.0)


async def test_the_file_says_how_far_the_clock_is_ahead(tmp_path: Path) -> None:
    now_s = 100.0
    found = LabClocks(SETTABLE, folder=tmp_path, clock=lambda: now_s)
    file = tmp_path / "db-paris.clock"
    async with anyio.create_task_group() as tasks:
        found.open(tasks)
        assert file.read_text() == "+0.000000\n"
        found.shift("db-paris", AHEAD)
        found.shift("db-paris", ClockShift(step_s=-61.5))
        assert file.read_text() == "-1.500000\n"
        found.restore("db-paris", ClockShift(step_s=1.0))  # which it does not have
        found.restore("db-paris", AHEAD)
        assert file.read_text() == "-61.500000\n"
        assert (tmp_path / "db-orsay.clock").read_text() == "+0.000000\n"
        found.close()


async def test_a_drift_is_written_again_and_again_until_it_ends(tmp_path: Path) -> None:
    now_s = 100.0
    found = LabClocks(SETTABLE, folder=tmp_path, clock=lambda: now_s)
    file = tmp_path / "db-orsay.clock"
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            found.open(tasks)
            found.shift("db-orsay", FAST)
            assert file.read_text() == "+0.000000\n"
            now_s = 130.0
            while file.read_text() != "+3.000000\n":
                await anyio.sleep(0.01)
            found.restore("db-orsay", FAST)
            assert file.read_text() == "+0.000000\n"
            found.close()


async def test_only_hosts_with_such_a_clock_are_told_of_one(tmp_path: Path) -> None:
    found = LabClocks(SETTABLE, folder=tmp_path)
    told = found.environment("db-paris")
    assert (
        told[CLOCK_VARIABLE] == told["FAKETIME_TIMESTAMP_FILE"] == str(tmp_path / "db-paris.clock")
    )
    assert "LD_PRELOAD" not in told, "Patroni itself and what else runs there must not load it"
    assert found.environment("dcs-paris") == {}
    assert LabClocks(PLAIN, folder=tmp_path).environment("db-paris") == {}


async def test_the_machines_clock_cannot_be_set(tmp_path: Path) -> None:
    lab = Lab(PLAIN, logs=tmp_path, on_exit=lambda end: None)
    words = 'the clock of db-paris cannot be set: in the topology it is not "settable"'
    for act in (lab.shift_clock("db-paris", AHEAD), lab.restore_clock("db-paris", AHEAD)):
        with pytest.raises(HostError, match=words):
            await act
    with pytest.raises(HostError, match=words):
        lab.clock_offset_s("db-paris")


async def test_the_library_is_asked_for_only_where_a_clock_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clocks, "LIBRARY", "there-is-no-such-library")
    check_clocks(PLAIN)
    with pytest.raises(PrerequisiteError, match="sudo apt-get install libfaketime"):
        check_clocks(SETTABLE)
