"""What is removed, by whom, and what is said when something stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from support.docker.docker_client import FakeClient

from cluster.errors import EngineError, LeftoverError
from cluster.substrates.docker import beside, images
from cluster.substrates.docker import leftovers as keeper
from cluster.substrates.docker.beside import run_beside
from cluster.substrates.docker.client import explain
from cluster.substrates.docker.keeper import Keeper
from cluster.substrates.docker.labels import (
    DRILL,
    KEEPER,
    NOBODY,
    OWNER,
    RUN,
    TESTING,
    label_options,
    labels,
)
from cluster.substrates.docker.leftovers import kept_runs, remove_run, sweep
from cluster.substrates.owner import this_process

ENGINE = r"""
mkdir -p "$here/containers" "$here/late"
case "$1" in
    ps)
        found=
        for one in "$here/containers"/*; do
            test -e "$one" || continue
            found=yes
            printf '%s\t%s\n' "${one##*/}" "$(cat "$one")"
        done
        if test -z "$found"; then
            for one in "$here/late"/*; do
                test -e "$one" && mv "$one" "$here/containers"
            done
        fi ;;
    rm)
        shift 3
        for one; do
            test "$one" = stuck && { echo "Error: $one is in use" >&2; exit 1; }
            rm -f "$here/containers/$one"
        done ;;
esac
exit 0
"""
"""An engine with containers: a file each, which has the labels. Those in ``late`` appear after the
first look that finds none. What is called ``stuck`` cannot be removed."""

Make = Callable[..., FakeClient]
DEADLINE_S = 60.0


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the engine, with containers of run r1: name and keeper."""

    def engine(late: tuple[str, ...] = (), **there: str) -> FakeClient:
        client = FakeClient(tmp_path / "bin", ENGINE)
        for folder in ("containers", "late"):
            (client.folder / folder).mkdir()
        for name, kept_by in there.items():
            (client.folder / "containers" / name).write_text(f"{name}-run\t{kept_by}\tdrill")
        for name in late:
            (client.folder / "late" / name).write_text("r1\tk\tdrill")
        client.use(monkeypatch)
        if "stuck" in there:  # it is not waited for
            monkeypatch.setattr(keeper, "DEADLINE_S", 0.5)
        return client

    return engine


def left(client: FakeClient) -> set[str]:
    """The containers that there are."""
    return {path.name for path in (client.folder / "containers").iterdir()}


def test_everything_of_a_run_is_labelled() -> None:
    assert labels("a1", "k") == {OWNER: DRILL, RUN: "a1", KEEPER: "k"}
    assert label_options("a1", "k")[1:] == [f"--label={RUN}=a1", f"--label={KEEPER}=k"]


def test_what_appears_after_the_first_look_is_removed_too(make: Make) -> None:
    """A client that was killed asked for it, and the engine had not made it yet."""
    client = make(one="k", late=("two", "three"))
    assert {thing.name for thing in remove_run("r1")} == {"one", "two", "three"}
    assert left(client) == set()


def test_what_cannot_be_removed_is_named_with_the_engines_words(make: Make) -> None:
    client = make(one="k", stuck="k")
    with pytest.raises(EngineError, match=r"removed: container stuck\n.*stuck is in use"):
        remove_run("r1")
    assert left(client) == {"stuck"}


def test_a_sweep_leaves_what_may_be_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    boot, rest = this_process().split(":", maxsplit=1)
    other = f"00000000-0000-0000-0000-000000000000:{rest}"
    gone = f"{boot}:{rest}0"  # it began at another time
    client = make(ours=this_process(), elder=other, gone=gone, foreign="x")
    monkeypatch.setattr(images, "is_engine_here", lambda: False)
    assert "gone" in {thing.name for thing in sweep()}
    # The fake shows every container to everybody; which runs were asked for is in the calls.
    assert any("run=gone-run" in call for call in client.calls)
    assert not any("run=elder-run" in call for call in client.calls)


def test_what_was_kept_before_the_machine_came_up_is_swept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "00000000-0000-0000-0000-000000000000:1:1:1"
    client = make(elder=other)
    monkeypatch.setattr(images, "is_engine_here", lambda: True)
    assert [thing.name for thing in sweep()] == ["elder"]
    assert left(client) == set()


BOOT, REST = this_process().split(":", maxsplit=1)
GONE = f"{BOOT}:{REST}0"
"""Its process began at another time."""


def test_what_cannot_be_swept_is_named_and_is_not_in_the_way(make: Make) -> None:
    """A network that the engine miscounts must not keep every drill from its start."""
    make(a_first=GONE, stuck=GONE, z_last=GONE)
    said: list[str] = []
    sweep(said.append)
    assert any("could not be removed: container stuck" in words for words in said)
    with pytest.raises(EngineError, match="could not be removed: container stuck"):
        sweep()


def test_a_network_that_the_engine_miscounts_has_its_remedy() -> None:
    words = explain(["network", "rm"], "error: network x id y has active endpoints")
    assert "remedy: restart the engine" in words
    assert "43286" in words


def test_what_is_kept_is_swept_by_nobody_and_listed(make: Make) -> None:
    client = make(kept=NOBODY)
    (client.folder / "containers" / "kept").write_text(f"k1-0\t{NOBODY}\t{TESTING}")
    (client.folder / "containers" / "drill").write_text(f"d1\t{NOBODY}\t{DRILL}")
    assert sweep() == []
    assert kept_runs() == ["k1-0"]
    assert labels("k1-0", NOBODY, TESTING) == {OWNER: TESTING, RUN: "k1-0", KEEPER: ""}


OWNER_OF_A_CLUSTER = """
import os, signal, sys, time
from cluster.substrates.docker.keeper import Keeper
keeper = Keeper("r1")
if os.fork() == 0:  # a child that outlives its parent does not hold up the removal
    os.closerange(0, 3)
    time.sleep(60)
    os._exit(0)
print(keeper.process.pid, flush=True)
if sys.argv[1] == "dismissed":
    keeper.dismiss()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "stays"), [("killed", set()), ("dismissed", {"one"})])
def test_what_a_killed_process_had_is_removed_unless_its_keeper_was_dismissed(
    make: Make, how: str, stays: set[str]
) -> None:
    client = make(one="k")
    command = [sys.executable, "-c", OWNER_OF_A_CLUSTER, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_over(int(done.stdout))
    assert left(client) == stays


def wait_over(pid: int) -> None:
    """Wait until a process that is not ours has ended."""
    end_s = time.monotonic() + DEADLINE_S
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end_s
            time.sleep(0.05)


def test_a_keeper_is_dismissed_once_and_removes_nothing(make: Make) -> None:
    client = make(one="k")
    keeping = Keeper("r1")
    keeping.dismiss()
    keeping.dismiss()
    assert keeping.process.returncode == 0
    assert left(client) == {"one"}


def test_how_a_drill_ended_is_known_though_something_of_it_stays(make: Make) -> None:
    make(stuck="k")
    with pytest.raises(LeftoverError, match="could not be removed: container stuck") as caught:
        run_beside(["sh", "-c", "exit 7", "sh"], run="r1")
    assert caught.value.code == 7
    assert caught.value.stopped_by is None


def test_clients_of_a_killed_keeper_are_killed_and_what_they_made_is_removed(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are process groups of their own, and do not end with it."""
    monkeypatch.setattr(beside, "SETTLE_S", 0.1)
    client = make(one="k")
    script = (
        "import os, signal, subprocess, sys; from pathlib import Path\n"
        "child = subprocess.Popen(['sleep', '60'], process_group=0)\n"
        "Path(sys.argv[1]).write_text(str(child.pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "child"
    code, stopped_by = run_beside([sys.executable, "-c", script, str(path)], run="r1")
    assert (code, stopped_by) == (128 + signal.SIGKILL, None)
    assert left(client) == set()
    pid = int(path.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
