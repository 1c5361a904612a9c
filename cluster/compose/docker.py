"""The docker client: the only way by which this project speaks to a container engine.

The client and not its HTTP interface, because it alone knows the user's contexts, sockets and
plugins; compose, which makes the project, exists only there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from subprocess import PIPE

import anyio

from cluster.errors import EngineError, PrerequisiteError

PROGRAM = "docker"
ANSWER_TIMEOUT_S = 60.0
"""The engine answers in milliseconds; on a loaded machine, making a container took it seconds."""


def run_now(
    arguments: Sequence[str], *, timeout_s: float = ANSWER_TIMEOUT_S, cwd: str | None = None
) -> str:
    """``docker ARGUMENTS``, waited for; what it printed.

    Raises:
        PrerequisiteError: there is no docker client.
        EngineError: it failed or took too long; with what it said.
    """
    try:
        done = subprocess.run(
            [PROGRAM, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to answer
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(NO_CLIENT) from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(_timed_out(arguments, timeout_s)) from error
    if done.returncode != 0:
        raise EngineError(explain(arguments, done.stderr or done.stdout))
    return done.stdout


async def run(
    *arguments: str,
    timeout_s: float = ANSWER_TIMEOUT_S,
    env: Mapping[str, str] | None = None,
) -> str:
    """``docker ARGUMENTS``, as ``run_now``, without blocking.

    Args:
        arguments: of the client.
        timeout_s: after that the client is killed.
        env: joins its environment.

    Raises:
        EngineError: it failed or took too long; with what it said.
    """
    try:
        with anyio.fail_after(timeout_s):
            done = await anyio.run_process(
                [PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                check=False,
                env={**os.environ, **(env or {})},
            )
    except TimeoutError as error:
        raise EngineError(_timed_out(arguments, timeout_s)) from error
    if done.returncode != 0:
        raise EngineError(explain(arguments, done.stderr.decode(errors="replace")))
    return done.stdout.decode(errors="replace")


def has_client() -> bool:
    """There is a docker client on PATH."""
    return shutil.which(PROGRAM) is not None


def _timed_out(arguments: Sequence[str], timeout_s: float) -> str:
    return f"docker {' '.join(arguments[:3])} … was not done after {timeout_s:g} s"


def explain(arguments: Sequence[str], words: str) -> str:
    """What the engine said, and the remedy where one is known."""
    said = words.strip()
    lines = [f"docker {' '.join(arguments[:3])} … failed: {said}"]
    lines += [f"  remedy: {remedy}" for sign, remedy in REMEDIES.items() if sign in said]
    return "\n".join(lines)


NO_CLIENT = (
    "there is no docker client on PATH; containers need Docker Engine 20.10 or later with the"
    " compose plugin.\n"
    "  Debian, Ubuntu:  https://docs.docker.com/engine/install/\n"
    "  or drill without containers:  bascule drill --substrate lab"
)
REMEDIES: Mapping[str, str] = {
    "no space left on device": "docker system df says what fills the disk; docker system prune,"
    " or a larger disk, makes room",
    "non-overlapping": "docker network prune removes networks that nobody uses",
}
"""What the engine says, and what helps."""
