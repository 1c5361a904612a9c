"""The docker client: the only way in which this project calls a container engine.

The client and not its HTTP interface, because only the client has the user's contexts, sockets and
plugins; compose, which makes the project, exists only there.

A client is a process group of its own in the session of this process: so it ends with its plugin,
and Ctrl-C, which we handle, does not reach it. The engine does what a client asked for also when
the client is gone; so a cancelled client may finish first, if it does so soon.
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
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from subprocess import PIPE
from urllib.parse import urlsplit

import anyio
import psutil

from cluster.errors import EngineError, PrerequisiteError

PROGRAM = "docker"
LOOPBACK = "127.0.0.1"
ROUTES = Path("/proc/net/route")
IN_CONTAINER = Path("/.dockerenv")
"""The engine puts it into every container."""
ANSWER_TIMEOUT_S = 60.0
"""The engine answers in milliseconds; on a loaded machine, making a container took it seconds."""
FINISH_TIMEOUT_S = 10.0
"""How long a cancelled client may finish what it does; making a project takes two to five."""
COMPOSE_VARIABLES = "COMPOSE_"
"""Prefix of the variables that would choose the project, its files and its profiles."""
STEERING = ("DOCKER_", COMPOSE_VARIABLES)
"""Prefixes of variables that choose what the client does and its engine; these two do so too:"""
PLACES = ("HOME", "PATH")


def compose(project: str, folder: Path, file: Path) -> list[str]:
    """The beginning of a call of compose: this project and no other, regardless of the
    caller's environment and of any ``.env`` file."""
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


def run_now(
    arguments: Sequence[str],
    *,
    timeout_s: float = ANSWER_TIMEOUT_S,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run ``docker ARGUMENTS`` to its end; returns what it printed on standard output.

    Args and errors are those of ``both_streams``.
    """
    return both_streams(arguments, timeout_s=timeout_s, variables=variables)[0]


def both_streams(
    arguments: Sequence[str],
    *,
    timeout_s: float = ANSWER_TIMEOUT_S,
    variables: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """``docker ARGUMENTS``, waited for; what it printed on standard output and on standard error.

    Args:
        arguments: of the client.
        timeout_s: after that the client is killed, and its plugin.
        variables: join its environment.

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
            env=environment(variables),
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
    return output, words


def address() -> str:
    """Where published ports are reached: on this machine's loopback, or at the engine's machine.

    In a container that has the engine's socket they are at this container's gateway.
    ``TESTCONTAINERS_HOST_OVERRIDE`` is heeded, as by testcontainers.

    Raises:
        EngineError: the client does not say which engine it uses.
    """
    if asked := os.environ.get("TESTCONTAINERS_HOST_OVERRIDE"):
        return asked
    form = "{{.Endpoints.docker.Host}}"
    where = os.environ.get("DOCKER_HOST") or run_now(["context", "inspect", "--format", form])
    if (machine := urlsplit(where.strip()).hostname) is not None:  # tcp://, ssh://
        return LOOPBACK if machine == "localhost" else machine
    if IN_CONTAINER.exists() and not _has_bridge_here():
        return default_gateway(ROUTES.read_text()) or LOOPBACK
    return LOOPBACK


def _has_bridge_here() -> bool:
    """Whether the engine's own bridge is an interface of this machine, or container."""
    form = "{{range .IPAM.Config}}{{println .Subnet}}{{end}}"
    subnets = run_now(["network", "inspect", "--format", form, "bridge"]).split()
    here = {one.address for found in psutil.net_if_addrs().values() for one in found}
    # The bridge has the first address; a container on it has another one.
    return any(str(ip_network(subnet)[1]) in here for subnet in subnets)


def default_gateway(table: str) -> str | None:
    """The gateway of ``/proc/net/route`` (proc(5)), if there is one."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000" and fields[2] != "00000000":
            return str(IPv4Address(bytes.fromhex(fields[2])[::-1]))
    return None


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
    return with_remedy(f"docker {' '.join(arguments[:3])} … failed: {words.strip()}")


def with_remedy(words: str) -> str:
    """What the engine said, and the remedy where one is known."""
    found = (remedy for sign, remedy in REMEDIES.items() if sign in words.lower())
    remedy = next(found, None)
    return words if remedy is None else f"{words}\n  remedy: {remedy}"


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
    "address pool": "there are too many networks on this machine; remove some (docker network"
    " prune), or give the engine more address pools",
    "active endpoints": "restart the engine (sudo systemctl restart docker): it counts a container"
    " that has left the network (moby issue 43286). Nothing else is kept from running meanwhile",
}
"""What the engine says, in small letters, and what helps; the first that fits."""
