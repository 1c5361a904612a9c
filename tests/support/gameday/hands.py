"""Labs that are up, as a person who breaks them by hand sees them."""

from __future__ import annotations

from support.commands.commands import bascule, wait_until

from chaos.gameday.lab_view import LabView
from chaos.gameday.labs import LivingLab
from chaos.gameday.requests import Request

WHOLE_TIMEOUT_S = 180.0
COMMAND_TIMEOUT_S = 300.0


def look(lab: LivingLab) -> LabView:
    """How it is."""
    return lab.ask(Request(op="look"), LabView)


def wait_whole(lab: LivingLab) -> None:
    """Until it lacks nothing; AssertionError, with what it lacks, when the time is up."""
    wait_until(
        lambda: look(lab).missing is None,
        timeout_s=WHOLE_TIMEOUT_S,
        what="the lab is whole",
        seen=lambda: f"({look(lab).missing})",
    )


def said(*command: str, code: int = 0) -> str:
    """What a command prints, and on standard error, when it ends with ``code``."""
    done = bascule(*command, timeout_s=COMMAND_TIMEOUT_S)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
