"""Whether a process that has a name still lives: said only of what can be seen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cluster import living
from cluster.living import is_gone, is_of_another_boot, this_process

BOOT, NAMESPACE, PID, BEGAN = this_process().split(":")
OTHER_BOOT = "00000000-0000-0000-0000-000000000000"


def test_a_living_process_is_not_gone() -> None:
    assert not is_gone(this_process())


def test_a_dead_process_is_gone() -> None:
    script = "from cluster.living import this_process; print(this_process())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert is_gone(done.stdout.strip())


def test_one_that_ended_and_was_not_waited_for_is_gone() -> None:
    script = "from cluster.living import this_process; print(this_process())"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        name = child.stdout.read().decode().strip()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(name)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    assert is_gone(f"{BOOT}:{NAMESPACE}:{PID}:{int(BEGAN) - 1}")


def test_what_ran_before_the_machine_came_up_is_gone() -> None:
    name = f"{OTHER_BOOT}:{NAMESPACE}:{PID}:{BEGAN}"
    assert is_of_another_boot(name)
    assert is_gone(name)
    assert not is_of_another_boot(this_process())


def test_a_process_of_another_namespace_counts_as_alive() -> None:
    assert not is_gone(f"{BOOT}:{int(NAMESPACE) + 1}:999999999:1")


def test_a_process_that_proc_hides_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``hidepid``: it can be signalled, or not even that, and its entry is not there."""
    monkeypatch.setattr(living, "_stat", lambda pid: None)
    assert not is_gone(f"{BOOT}:{NAMESPACE}:{PID}:1")

    def deny(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", deny)
    assert not is_gone(f"{BOOT}:{NAMESPACE}:{PID}:1")


@pytest.mark.parametrize(
    "name", ["", "somebody else's", f"{BOOT}:{NAMESPACE}:x:1", f"{BOOT}:{NAMESPACE}:{10**30}:1"]
)
def test_what_is_no_such_name_is_left_alone(name: str) -> None:
    assert not is_gone(name)
