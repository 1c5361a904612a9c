"""Is there an engine that can carry a drill? A refusal names what is missing and the remedy."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass

from cluster.compose import docker
from cluster.errors import EngineError, PrerequisiteError

API_MIN = (1, 41)
"""Of Docker Engine 20.10, the oldest that this was tried with."""
COMPOSE_MIN = (2, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that was found fit."""

    version: str
    compose: str
    storage: str
    """Where the data of containers lies: the storage driver and its file system."""


def check_engine() -> Engine:
    """Look at the client, the engine and compose (about 0.3 s).

    Raises:
        PrerequisiteError: what is missing, and the remedy.
    """
    if not docker.has_client():
        raise PrerequisiteError(docker.NO_CLIENT)
    server = _server()
    if (words := explain_age(str(server["ApiVersion"]))) is not None:
        raise PrerequisiteError(words)
    if server["KernelVersion"] != platform.release():
        raise PrerequisiteError(
            "the Docker engine runs on another kernel than this command: in a virtual machine "
            "(Docker Desktop) or on another machine. Its containers' clock is another one, and "
            "their addresses cannot be reached from here.\n"
            "  remedy: run bascule where the engine runs, or use --substrate lab"
        )
    return Engine(
        version=str(server["Version"]), compose=_compose(), storage=explain_storage(_info())
    )


def version_numbers(version: str) -> tuple[int, ...]:
    """(2, 40, 3) of "v2.40.3-desktop.1"."""
    numbers = version.removeprefix("v").split("-", maxsplit=1)[0].split("+", maxsplit=1)[0]
    return tuple(int(part) for part in numbers.split(".") if part.isdigit())


def _server() -> dict[str, object]:
    try:
        answer = json.loads(docker.run_now(["version", "--format", "{{json .}}"]))
        server = answer["Server"]
    except (EngineError, ValueError, KeyError) as error:
        raise PrerequisiteError(explain_silence(str(error))) from error
    if not isinstance(server, dict):
        raise PrerequisiteError(explain_silence("the client found no engine"))
    return server


def explain_age(api: str) -> str | None:
    """That an engine with this version of the API is too old, and what helps; None if not."""
    if version_numbers(api) >= API_MIN:
        return None
    return (
        f"the Docker engine is too old (API {api}); needed is 20.10 (API 1.41) or later.\n"
        "  remedy: https://docs.docker.com/engine/install/"
    )


def explain_silence(words: str) -> str:
    """Why the engine does not answer, and what helps."""
    return (
        f"the Docker engine does not answer.\n  {words}\n  remedy: {remedy_of_silence(words)}\n"
        "  or drill without containers:  bascule drill --substrate lab"
    )


def remedy_of_silence(words: str) -> str:
    """What helps when a client of the engine fails with these words."""
    said = words.lower()
    if "permission denied" in said:
        return (
            "sudo usermod -aG docker $USER, then log in again; members of that group are as good"
            " as root on this machine"
        )
    if ("client version" in said and "too" in said) or "no longer supported" in said:
        return "update the older of the two: https://docs.docker.com/engine/install/"
    return "start it (sudo systemctl start docker), or set DOCKER_HOST to its socket"


def _compose() -> str:
    try:
        version = docker.run_now(["compose", "version", "--short"]).strip()
    except EngineError as error:
        raise PrerequisiteError(
            "docker has no compose plugin.\n"
            "  Debian, Ubuntu with Docker's packages:  sudo apt-get install docker-compose-plugin\n"
            "  by hand:  https://docs.docker.com/compose/install/linux/"
        ) from error
    if version_numbers(version) < COMPOSE_MIN:
        raise PrerequisiteError(
            f"docker compose {version} is too old; needed is 2.20 or later.\n"
            "  remedy: https://docs.docker.com/compose/install/linux/"
        )
    return version.removeprefix("v")


def _info() -> dict[str, object]:
    found: dict[str, object] = json.loads(docker.run_now(["info", "--format", "{{json .}}"]))
    return found


def explain_storage(info: dict[str, object]) -> str:
    """Where volumes lie, in words: ``volumes on this machine's disk (extfs)``."""
    backing = ""
    status = info.get("DriverStatus")
    for pair in status if isinstance(status, list) else []:
        if pair[0] == "Backing Filesystem":
            backing = f" ({pair[1]})"
    return f"volumes on this machine's disk{backing}"
