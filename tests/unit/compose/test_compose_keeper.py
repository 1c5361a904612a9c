"""Whose a project is, and when it may be removed."""

from __future__ import annotations

import subprocess
import sys

from cluster.compose.keeper import DRILL, KEEPER, OWNER, RUN, is_gone, labels, this_keeper

BOOT, NAMESPACE, PID, BEGAN = this_keeper().split(":")


def test_what_is_kept_by_a_living_process_is_not_gone() -> None:
    assert not is_gone(this_keeper())


def test_what_a_dead_process_kept_is_gone() -> None:
    script = "from cluster.compose.keeper import this_keeper; print(this_keeper())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert is_gone(done.stdout.strip())


def test_a_pid_that_is_used_again_is_another_process() -> None:
    assert is_gone(f"{BOOT}:{NAMESPACE}:{PID}:{int(BEGAN) - 1}")


def test_what_was_kept_before_the_machine_came_up_is_gone() -> None:
    assert is_gone(f"00000000-0000-0000-0000-000000000000:{NAMESPACE}:{PID}:{BEGAN}")


def test_a_process_that_cannot_be_seen_from_here_counts_as_alive() -> None:
    assert not is_gone(f"{BOOT}:{int(NAMESPACE) + 1}:999999999:1")


def test_a_label_that_is_not_ours_is_left_alone() -> None:
    assert not is_gone("")
    assert not is_gone("somebody else's")


def test_everything_of_a_run_is_labelled() -> None:
    assert labels("a1", "k") == {OWNER: DRILL, RUN: "a1", KEEPER: "k"}
