"""A signal may come while a lab ends, or after."""

from __future__ import annotations

import os
import sys

import pytest

from cluster.substrates.lab import enter
from cluster.substrates.lab.enter import SealedLab


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> SealedLab:
    """A lab whose processes have ended; without namespaces, which matter to nothing here."""
    monkeypatch.setattr(enter, "NAMESPACES", ("true",))
    return SealedLab([sys.executable, "-c", ""])


def test_a_lab_that_hears_nobody_any_more_is_asked_in_vain(ended: SealedLab) -> None:
    os.waitid(os.P_PID, ended.process.pid, os.WEXITED | os.WNOWAIT)
    ended.ask()
    ended.kill()
    ended.end()


def test_a_lab_that_was_let_go_is_neither_asked_nor_killed(ended: SealedLab) -> None:
    ended.end()
    # The numbers of its pipe and its process may be somebody else's by now.
    readable, writable = os.pipe()
    try:
        os.set_blocking(readable, False)
        os.dup2(writable, ended._hold)
        ended.ask()
        with pytest.raises(BlockingIOError):
            os.read(readable, 1)
    finally:
        for number in {readable, writable, ended._hold}:
            os.close(number)
    ended.kill()
    ended.end()
