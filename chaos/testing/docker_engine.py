"""The Docker engine, as testcontainers finds it: what it says, with a remedy; its images."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.testing.errors import NoDockerError, StartError
from cluster.compose.docker import REMEDIES
from cluster.compose.engine import explain_age, remedy_of_silence

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

CHECKOUT = Path(__file__).parents[2]
BUILD = ("docker", "compose", "--profile", "cluster", "build")
BUILD_TIMEOUT_S = 1800.0
"""Packages are downloaded and installed."""
EXTRA = "pip install docker testcontainers"
ALL_REMEDIES: Mapping[str, str] = {
    "address pool": "there are too many networks on this machine; remove some (docker network"
    " prune), or give the engine more address pools",
    **REMEDIES,
}
"""What the engine says, in small letters, and what helps."""


def tell(words: str) -> None:
    """Say something to whoever runs the tests."""
    print(f"bascule: {words}", file=sys.stderr, flush=True)


def explain(words: str) -> str:
    """What the engine said, and the remedy where one is known."""
    found = (remedy for sign, remedy in ALL_REMEDIES.items() if sign in words.lower())
    remedy = next(found, None)
    return words if remedy is None else f"{words}\n  remedy: {remedy}"


@contextmanager
def docker_words() -> Iterator[None]:
    """Errors of the engine, in words.

    Raises:
        StartError: what Docker said.
    """
    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415

    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise StartError(explain(f"Docker refused: {error}")) from error


def connect() -> DockerClient:
    """The engine.

    Raises:
        NoDockerError: its client is not installed, nobody answers, or it is too old.
    """
    try:
        import docker.errors  # noqa: PLC0415
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415
    except ImportError as error:
        words = f"mode='docker' needs the packages of an extra ({error})\n  remedy: {EXTRA}"
        raise NoDockerError(words) from error
    try:
        client = DockerClient()
        client.client.ping()
    except (docker.errors.DockerException, OSError) as error:
        words = (
            f"no Docker engine answers: {error}\n"
            f"  remedy: {remedy_of_silence(str(error))}; mode='lab' needs none"
        )
        raise NoDockerError(words) from error
    if (words_or_none := explain_age(client.client.api.api_version)) is not None:
        client.client.close()
        raise NoDockerError(words_or_none)
    return client


def need_images(client: DockerClient, images: Collection[str]) -> None:
    """Have the images; build them when they are missing and can be built, which is said on stderr.

    Of several processes one builds, and the others wait for it.

    Raises:
        NoDockerError: one is missing, and cannot be built here.
        StartError: the engine refused to say which it has.
    """
    with docker_words():
        if not (missing := _missing(client, images)):
            return
        remedy = f"in a checkout of bascule: {' '.join(BUILD)}"
        if not (CHECKOUT / "docker-compose.yml").exists() or shutil.which("docker") is None:
            raise NoDockerError(f"no image {', '.join(missing)}\n  remedy: {remedy}")
        with _alone_with(CHECKOUT):
            if not (missing := _missing(client, images)):
                return
            tell(f"building {', '.join(missing)}, which takes some minutes ...")
            logs = _build()
        if still := _missing(client, images):
            words = f"no image {', '.join(still)}, and it could not be built"
            raise NoDockerError(f"{words}\n  remedy: {remedy}", logs=logs)


def _missing(client: DockerClient, images: Collection[str]) -> list[str]:
    return [name for name in images if not _has_image(client, name)]


def _has_image(client: DockerClient, name: str) -> bool:
    import docker.errors  # noqa: PLC0415

    try:
        client.client.images.get(name)
    except docker.errors.ImageNotFound:
        return False
    return True


@contextmanager
def _alone_with(folder: Path) -> Iterator[None]:
    """Only one process at a time, of those that ask for the same folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another process is building the images; waiting for it ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _build() -> str:
    """Build the images; the last that the build said when it failed, with a remedy if known."""
    try:
        done = subprocess.run(
            BUILD,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return f"  it was not done after {BUILD_TIMEOUT_S:g} s"
    if done.returncode == 0:
        return ""
    return explain("\n".join(f"  {line}" for line in done.stderr.splitlines()[-15:]))
