"""Whether an engine can carry a drill; a refusal names what is missing and the remedy."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection
from dataclasses import dataclass

import psutil

from cluster.errors import EngineError, PrerequisiteError
from cluster.substrates.docker import client as docker

API_MIN = (1, 41)
"""Of Docker Engine 20.10, the oldest that this was tried with."""
COMPOSE_MIN = (2, 20)
COMPOSE_WITHOUT_BUILDER = (5,)
"""From here on compose has no builder of its own, and asks buildx (docker/compose#13056)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that was found fit."""

    version: str
    compose: str
    storage: str
    """Where the data of containers lies: the storage driver and its file system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What an engine says of itself."""

    version: str
    api: str
    kernel: str


def check_engine() -> Engine:
    """Look at the client, the engine and compose (about 0.3 s).

    That the engine is on this machine is certain only once a container was asked
    (``prepare_images``).

    Raises:
        PrerequisiteError: what is missing, and the remedy.
    """
    if not docker.has_client():
        raise PrerequisiteError(docker.NO_CLIENT)
    try:
        server = ask_server()
    except EngineError as error:
        raise PrerequisiteError(explain_silence(str(error))) from error
    if (words := explain_age(server.api, server.version)) is not None:
        raise PrerequisiteError(words)
    if server.kernel != platform.release():
        raise PrerequisiteError(
            "the Docker engine runs on another kernel than this command: in a virtual machine "
            "(Docker Desktop) or on another machine. Its containers' clock is another one, and "
            "their addresses cannot be reached from here.\n"
            "  remedy: run bascule where the engine runs, or use --substrate lab"
        )
    compose, info = require_compose(), _info()
    problem = explain_security(info) or explain_bridge(_bridge_gateways(), _local_addresses())
    if problem:
        raise PrerequisiteError(problem)
    return Engine(version=server.version, compose=compose, storage=explain_storage(info))


def version_numbers(version: str) -> tuple[int, ...]:
    """(2, 40, 3) of "v2.40.3-desktop.1"."""
    numbers = version.removeprefix("v").split("-", maxsplit=1)[0].split("+", maxsplit=1)[0]
    return tuple(int(part) for part in numbers.split(".") if part.isdigit())


def ask_server() -> Server:
    """What the engine says of itself.

    Raises:
        EngineError: it does not answer.
    """
    answer = docker.run_now(["version", "--format", "{{json .}}"])
    try:
        server = json.loads(answer)["Server"]
        return Server(
            version=str(server["Version"]),
            api=str(server["ApiVersion"]),
            kernel=str(server["KernelVersion"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        words = "the client found none, or is of another program (podman-docker)"
        raise EngineError(words) from error


def explain_age(api: str, version: str = "") -> str | None:
    """That an engine with this version of the API is too old, and what helps; None if not."""
    if version_numbers(api) >= API_MIN:
        return None
    which = f"the Docker engine {version}".rstrip()
    return (
        f"{which} is too old (API {api}); needed is 20.10 (API 1.41) or later.\n"
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


def require_compose() -> str:
    """The version of the compose plugin.

    Raises:
        PrerequisiteError: there is none, or it is too old.
    """
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
    if version_numbers(version) >= COMPOSE_WITHOUT_BUILDER:
        _require_buildx(version)
    return version.removeprefix("v")


def _require_buildx(version: str) -> None:
    try:
        docker.run_now(["buildx", "version"])
    except EngineError as error:
        raise PrerequisiteError(
            f"docker compose {version} builds images with the buildx plugin, and docker has none.\n"
            "  Debian, Ubuntu with Docker's packages:  sudo apt-get install docker-buildx-plugin\n"
            "  by hand:  https://github.com/docker/buildx#installing"
        ) from error


def _info() -> dict[str, object]:
    try:
        found = json.loads(docker.run_now(["info", "--format", "{{json .}}"]))
    except (EngineError, ValueError) as error:
        raise PrerequisiteError(explain_silence(str(error))) from error
    return found if isinstance(found, dict) else {}


def explain_security(info: dict[str, object]) -> str:
    """Why an engine that maps users cannot carry a drill; empty if it does not."""
    options = info.get("SecurityOptions")
    kinds = {
        part.removeprefix("name=")
        for option in (options if isinstance(options, list) else [])
        for part in str(option).split(",")
        if part.startswith("name=")
    }
    if "rootless" in kinds:
        return (
            "the Docker engine is rootless: its networks are in a namespace of their own, and"
            " containers cannot be reached from here.\n"
            "  remedy: use the engine of the machine (docker context use default), or"
            " --substrate lab, which needs no root either"
        )
    if "userns" in kinds:
        return (
            "the Docker engine maps users (userns-remap): a container's user is nobody's in the run"
            " folder, and cannot write there.\n"
            "  remedy: an engine without userns-remap in /etc/docker/daemon.json, or"
            " --substrate lab"
        )
    return ""


def explain_bridge(gateways: Collection[str], local: Collection[str]) -> str:
    """Why containers cannot be reached: the engine's own bridge is none of this machine's
    interfaces; empty if it is, or there is none.

    Args:
        gateways: the addresses that the engine has on its network ``bridge``.
        local: the addresses of this machine.
    """
    if not gateways or set(gateways) & set(local):
        return ""
    return (
        f"the Docker engine's bridge ({', '.join(gateways)}) is no interface of this machine: its"
        " containers cannot be reached from here. So it is with Docker Desktop, with an engine on"
        " another machine, and in a container that has the engine's socket.\n"
        "  remedy: run bascule where the engine runs (in a container: with --network host), or use"
        " --substrate lab"
    )


def _bridge_gateways() -> list[str]:
    """The gateways of the default bridge; empty if the engine has no such network."""
    form = "{{range .IPAM.Config}}{{println .Gateway}}{{end}}"
    try:
        return docker.run_now(["network", "inspect", "--format", form, "bridge"]).split()
    except EngineError as error:
        if docker.is_missing(str(error)):
            return []
        raise


def _local_addresses() -> set[str]:
    """This machine's addresses, without the interface after a link-local one."""
    found = psutil.net_if_addrs().values()
    return {one.address.partition("%")[0] for addresses in found for one in addresses}


def explain_storage(info: dict[str, object]) -> str:
    """Where volumes lie, in words: ``volumes on this machine's disk (extfs)``."""
    backing = ""
    status = info.get("DriverStatus")
    for pair in status if isinstance(status, list) else []:
        if pair[0] == "Backing Filesystem":
            backing = f" ({pair[1]})"
    return f"volumes on this machine's disk{backing}"
