"""A process of this machine is known again by its name, and never taken for another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.substrates import owner
from cluster.substrates.owner import is_gone, this_process

ROOT = Path(__file__).parents[4]
BOOT, NAMESPACE, PID, BEGAN = this_process().split(":")
OTHER_BOOT = "00000000-0000-0000-0000-000000000000"
SAY = "from cluster.substrates.owner import this_process; print(this_process(), flush=True)"


def test_a_living_process_is_not_gone() -> None:
    assert not is_gone(this_process())


def test_a_dead_process_is_gone() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    assert is_gone(done.stdout.strip())


def test_one_that_has_ended_is_gone_though_its_parent_does_not_look() -> None:
    with subprocess.Popen([sys.executable, "-c", SAY], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(name)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    assert is_gone(f"{BOOT}:{NAMESPACE}:{PID}:{int(BEGAN) - 1}")


def test_of_another_boot_it_is_gone_only_if_it_was_of_this_machine() -> None:
    name = f"{OTHER_BOOT}:{NAMESPACE}:{PID}:{BEGAN}"
    assert is_gone(name, same_machine=True)
    assert not is_gone(name)


def test_what_cannot_be_seen_from_here_counts_as_alive() -> None:
    assert not is_gone(f"{BOOT}:{int(NAMESPACE) + 1}:999999999:1", same_machine=True)


@pytest.mark.parametrize("start", [None, "1"])
def test_a_process_whose_start_cannot_be_read_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch, start: str | None
) -> None:
    """Where ``/proc`` hides the processes of other users; nor is a start that nobody wrote down
    another one."""
    monkeypatch.setattr(owner, "read_start", lambda pid: start)
    began = BEGAN if start is None else ""
    assert not is_gone(f"{BOOT}:{NAMESPACE}:{PID}:{began}")


def test_a_process_of_another_user_that_is_hidden_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(owner, "read_start", lambda pid: None)
    monkeypatch.setattr(os, "kill", refuse)
    assert not is_gone(this_process())


def test_a_proc_of_another_namespace_tells_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "readlink", lambda path: "999999999")
    assert owner.read_start(os.getpid()) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "somebody else's",
        f"{BOOT}:{NAMESPACE}:x:{BEGAN}",
        f"{BOOT}:{NAMESPACE}:0:{BEGAN}",
        f"{BOOT}:{NAMESPACE}:-1:{BEGAN}",
        f"{BOOT}:{NAMESPACE}:{10**30}:{BEGAN}",
    ],
    ids=["empty", "foreign", "no number", "zero", "negative", "huge"],
)
def test_what_is_no_name_counts_as_alive(name: str) -> None:
    assert not is_gone(name, same_machine=True)


def test_the_start_is_field_22_also_of_a_command_with_spaces(tmp_path: Path) -> None:
    program = tmp_path / "a ) Z 1 b"
    program.symlink_to(sys.executable)
    say = "import os; print(open(f'/proc/{os.getpid()}/stat').read(), end=''); " + SAY
    done = subprocess.run(
        [program, "-c", say], capture_output=True, text=True, check=True, cwd=ROOT
    )
    stat, name = done.stdout.strip().splitlines()
    assert ") Z 1" in stat
    assert name.split(":")[3] == stat.split()[21 + 4]
