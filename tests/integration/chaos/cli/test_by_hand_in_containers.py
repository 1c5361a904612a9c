"""``bascule up --substrate compose``: the same commands, on sites that are containers."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.commands.commands import bascule, descendants, events, wait_gone, wait_until
from support.docker.docker_things import nothing_left, things_of
from support.gameday.hands import COMMAND_TIMEOUT_S, look, said, wait_whole

from chaos.gameday.labs import LivingLab, find, names

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("images")]

UP = ("up", "c", "--substrate", "compose", "--no-witness", "--rate", "20", "--quiet", "--json")
END_TIMEOUT_S = 180.0


@pytest.fixture(autouse=True)
def own_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The labs of this test are in a folder of its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("BASCULE_LAB", raising=False)


@pytest.fixture
def up() -> Iterator[Callable[..., LivingLab]]:
    """Raises a lab in containers; what the test leaves of it is killed."""
    pids: list[int] = []

    def raise_lab(run: Path, *options: str) -> LivingLab:
        done = bascule(*UP, "--out", str(run), *options, timeout_s=COMMAND_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        pids.append(found["supervisor_pid"])
        assert found["substrate"] == "compose"
        assert found["urls"]["primary"].rpartition("@")[2].startswith("127.0.0.1:")
        return find("c")

    yield raise_lab
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_lab_of_containers_is_killed_and_the_next_goes_through_all_commands(
    tmp_path: Path, up: Callable[..., LivingLab]
) -> None:
    killed = tmp_path / "killed"
    lab = up(killed, "--no-load")
    assert {thing.kind for thing in things_of(killed)} == {"container", "network", "volume"}
    ours = descendants(lab.pid)
    os.kill(lab.pid, signal.SIGKILL)
    run = tmp_path / "run"
    lab = up(run)  # at once: it waits until what was killed has gone
    wait_until(nothing_left(killed), timeout_s=END_TIMEOUT_S, what="the killed lab has gone")
    wait_gone(ours)
    assert_every_command(lab)
    ended = bascule("down", timeout_s=COMMAND_TIMEOUT_S)
    verdict = json.loads((run / "verdict.json").read_text())
    # A machine that stands still for seconds makes it UNKNOWN, and never INVALID.
    assert (ended.returncode, verdict["verdict"]) in {(0, "valid"), (4, "unknown")}, ended.stdout
    assert things_of(run) == []
    assert names() == []
    assert verdict["lost"] == 0
    assert [one["fault"] for one in events(run, "fault")] == ["link-cut", "switchover"]
    assert [one["fault"] for one in events(run, "heal")] == ["link-cut"]
    assert "the switchover away from" in ended.stdout or verdict["verdict"] == "unknown"
    assert (run / "report.html").stat().st_size > 10_000


def assert_every_command(lab: LivingLab) -> None:
    """Every command for labs by hand does on containers what it does in namespaces."""
    wait_whole(lab)
    found = json.loads(said("status", "--lab", "c", "--json"))
    assert {one["role"] for one in found["nodes"].values()} == {"primary", "replica"}
    assert said("psql", "-Atc", "SELECT 1, pg_is_in_recovery()") == "1|f\n"
    assert said("psql", "--on", "replica", "-Atc", "SELECT pg_is_in_recovery()") == "t\n"

    replica = next(name for name, node in found["nodes"].items() if node["role"] == "replica")
    assert said("enter", "--on", replica, "c", "patronictl", "list").count("streaming") == 2
    assert said("enter", "--on", replica, "psql", "-Atc", "SELECT current_user") == "postgres\n"
    assert f"link-cut on {replica}: cable pulled" in said("strike", "link-cut", replica)
    assert [one.words for one in look(lab).broken] == [f"link-cut on {replica}"]
    assert "cable plugged in again" in said("heal")
    wait_whole(lab)
    assert "this substrate cannot break-disk" in said("strike", "disk-full", replica, code=3)

    assert "Successfully switched over" in said("switchover", replica)
    wait_until(lambda: look(lab).primary == replica, timeout_s=60, what=f"{replica} leads")
    wait_whole(lab)
    assert f"{replica}.patroni:" in said("logs", replica, "patroni", "--lines", "5")
    assert "the service is judged up to now" in said("load", "stop")
