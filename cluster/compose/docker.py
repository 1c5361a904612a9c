"""The docker client: the only way by which this project speaks to a container engine.

The client and not its HTTP interface, because it alone knows the user's contexts, sockets and
plugins; compose, which makes the project, exists only there.

A client is a process group of its own in the session of this process: so that it ends with its
plugin, and Ctrl-C, which is ours to answer, does not reach it. What it asked for the engine does,
whether the client lives or not; so one that is cancelled may finish first, if it does so soon.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import anyio

from cluster.errors import EngineError, PrerequisiteError

PROGRAM = "docker"
ANSWER_TIMEOUT_S = 60.0
"""The engine answers in milliseconds; on a loaded machine, making a container took it seconds."""
FINISH_TIMEOUT_S = 10.0
"""How long a cancelled client may finish what it does; making a project takes two to five."""
COMPOSE_VARIABLES = "COMPOSE_"
"""They would say what project it is, of which files, with which profiles."""
STEERING = ("DOCKER_", COMPOSE_VARIABLES)
"""So begin variables that say what the client does and whom it speaks to; so do these two:"""
PLACES = ("HOME", "PATH")


def compose(project: str, folder: Path, file: Path) -> list[str]:
    """The beginning of a call of compose: this project and no other, whatever the caller's
    environment and the ``.env`` of any folder say."""
    return [
        *("compose", "--project-name", project, "--project-directory", str(folder)),
        *("--file", str(file), "--env-file", os.devnull),
    ]


def environment(secrets: Mapping[str, str] | None = None) -> dict[str, str]:
    """The client's: ours, without what would change compose's project, nor with attestations: they
    tell the time, so that an engine that keeps them has a new image after every build.

    Args:
        secrets: join it; a container is given them by name.

    Raises:
        EngineError: one of them would change what the client does.
    """
    given = dict(secrets or {})
    if steering := [name for name in given if name.startswith(STEERING) or name in PLACES]:
        raise EngineError(f"no secret can be called {', '.join(steering)}: the client heeds it")
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(COMPOSE_VARIABLES)
    }
    return ours | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"} | given


def run_now(arguments: Sequence[str], *, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
    """``docker ARGUMENTS``, waited for; what it printed.

    Raises:
        PrerequisiteError: there is no docker client.
        EngineError: it failed or took too long; with what it said.
    """
    try:
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            text=True,
            errors="replace",
            env=environment(),
            process_group=0,
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(NO_CLIENT) from error
    with process:
        try:
            output, words = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise EngineError(_timed_out(arguments, timeout_s)) from error
        finally:
            if process.returncode is None:
                _kill_group(process.pid)
    if process.returncode != 0:
        raise EngineError(explain(arguments, f"{output}{words}"))
    return output


async def run(
    *arguments: str,
    timeout_s: float = ANSWER_TIMEOUT_S,
    secrets: Mapping[str, str] | None = None,
) -> str:
    """``docker ARGUMENTS``, as ``run_now``, without blocking.

    Cancelled, it ends once the client has finished, after ``FINISH_TIMEOUT_S`` at the latest.

    Args:
        arguments: of the client.
        timeout_s: after that the client is killed, and its plugin.
        secrets: join its environment.

    Raises:
        PrerequisiteError: there is no docker client.
        EngineError: it failed or took too long; with what it said.
    """
    try:
        with anyio.CancelScope(shield=True):
            # Not anyio's: it cannot make a process group.
            process = await asyncio.create_subprocess_exec(
                *(PROGRAM, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                env=environment(secrets),
                process_group=0,
            )
    except FileNotFoundError as error:
        raise PrerequisiteError(NO_CLIENT) from error
    talk = asyncio.create_task(process.communicate())
    try:
        with anyio.fail_after(timeout_s):
            output, words = await asyncio.shield(talk)
    except TimeoutError as error:
        raise EngineError(_timed_out(arguments, timeout_s)) from error
    except anyio.get_cancelled_exc_class():
        with anyio.move_on_after(FINISH_TIMEOUT_S, shield=True):
            await asyncio.shield(talk)
        raise
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
        with anyio.CancelScope(shield=True):
            await talk
    if process.returncode != 0:
        raise EngineError(explain(arguments, (output + words).decode(errors="replace")))
    return output.decode(errors="replace")


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def has_client() -> bool:
    """There is a docker client on PATH."""
    return shutil.which(PROGRAM) is not None


def is_missing(words: str) -> bool:
    """What was asked for is not there: in the engine's words, or in those of a client (20.10 has
    its own)."""
    return MISSING.search(words) is not None


def _timed_out(arguments: Sequence[str], timeout_s: float) -> str:
    return f"docker {' '.join(arguments[:3])} … was not done after {timeout_s:g} s"


def explain(arguments: Sequence[str], words: str) -> str:
    """What the engine said, and the remedy where one is known."""
    said = words.strip()
    lines = [f"docker {' '.join(arguments[:3])} … failed: {said}"]
    lines += [f"  remedy: {remedy}" for sign, remedy in REMEDIES.items() if sign in said]
    return "\n".join(lines)


MISSING = re.compile(
    r"no such (object|container|network)|(container|network) \S+ not found", re.IGNORECASE
)
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
