"""The Docker engine, as testcontainers finds it, and what of it is ours: labels, images, leftovers.

Only containers and networks that carry our labels are ever touched.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.testing.errors import NoDockerError, StartError

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

OWNER_LABEL = "org.bascule.owner"
OWNER = "testing"
"""Others of this project (docker-compose.yml) have other owners: each sweeps only its own."""
CLUSTER_LABEL = "org.bascule.cluster"
HOST_LABEL = "org.bascule.host"
PROCESS_LABEL = "org.bascule.process"
"""Whose cluster it is: ``<machine>/<pid>/<start of the process>``. Empty: to be used again."""

CHECKOUT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 1800.0
"""Packages are downloaded and installed."""
EXTRA = "pip install 'bascule[testing]'"


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
        words = f"Docker refused: {error}"
        if "address pool" in str(error):
            words += (
                "\n  remedy: there are too many networks on this machine; remove some"
                " (docker network prune), or give the engine more address pools"
            )
        raise StartError(words) from error


def connect() -> DockerClient:
    """The engine.

    Raises:
        NoDockerError: its client is not installed, or nobody answers.
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
            "  remedy: start it, or set DOCKER_HOST; mode='lab' needs none"
        )
        raise NoDockerError(words) from error
    return client


def need_images(client: DockerClient, images: Collection[str]) -> None:
    """Have the images; build them when they are missing and can be built.

    Raises:
        NoDockerError: one is missing, and cannot be built here.
    """
    missing = [name for name in images if not _has_image(client, name)]
    if not missing:
        return
    remedy = "in a checkout of bascule: docker compose --profile cluster build"
    if not (CHECKOUT / "docker-compose.yml").exists() or shutil.which("docker") is None:
        raise NoDockerError(f"no image {', '.join(missing)}\n  remedy: {remedy}")
    command = ["docker", "compose", "--profile", "cluster", "build"]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    still = [name for name in missing if not _has_image(client, name)]
    if done.returncode != 0 or still:
        tail = "\n".join(f"  {line}" for line in done.stderr.splitlines()[-15:])
        words = f"no image {', '.join(still or missing)}, and it could not be built"
        raise NoDockerError(f"{words}\n  remedy: {remedy}", logs=tail)


def _has_image(client: DockerClient, name: str) -> bool:
    import docker.errors  # noqa: PLC0415

    try:
        client.client.images.get(name)
    except docker.errors.ImageNotFound:
        return False
    return True


def labels_of(cluster: str, *, kept: bool) -> dict[str, str]:
    """The labels of everything of one cluster.

    Args:
        cluster: its name.
        kept: it stays when this process ends, to be used again.
    """
    process = "" if kept else this_process()
    return {OWNER_LABEL: OWNER, CLUSTER_LABEL: cluster, PROCESS_LABEL: process}


def this_process() -> str:
    """A name for this process that no other one ever has."""
    return f"{socket.gethostname()}/{os.getpid()}/{_start_of(os.getpid())}"


def _start_of(pid: int) -> str:
    """When a process started, in ticks since boot (proc(5), field 22); "" when there is none, and
    where there is no ``/proc``."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]
    return ""


def _is_gone(process: str) -> bool:
    """A process of this machine that does not run any more; of another machine nobody knows."""
    machine, _, rest = process.rpartition("/")[0].partition("/")
    pid, start = rest, process.rpartition("/")[2]
    if machine != socket.gethostname() or not pid.isdigit() or not start:
        return False
    return _start_of(int(pid)) != start


def sweep(client: DockerClient, *, kept: bool = False) -> list[str]:
    """Remove the clusters that runs which are over have left; returns their names.

    Args:
        client: the engine.
        kept: also those that are kept to be used again.
    """
    found: dict[str, str] = {}
    mine = {"label": f"{OWNER_LABEL}={OWNER}"}
    things: list[Any] = client.client.containers.list(all=True, filters=mine)
    things += client.client.networks.list(filters=mine)
    for thing in things:
        labels = labels_on(thing)
        found.setdefault(labels.get(CLUSTER_LABEL, ""), labels.get(PROCESS_LABEL, ""))
    gone = [
        cluster
        for cluster, process in found.items()
        if cluster and (_is_gone(process) if process else kept)
    ]
    for cluster in gone:
        remove(client, cluster)
    return gone


def labels_on(thing: Any) -> dict[str, str]:  # noqa: ANN401 (the engine's client has no types)
    """The labels of a container or a network."""
    config = thing.attrs.get("Config") or thing.attrs
    return dict(config.get("Labels") or {})


def remove(client: DockerClient, cluster: str) -> None:
    """Remove all of one cluster: containers with their volumes, then networks. Idempotent."""
    import docker.errors  # noqa: PLC0415

    mine = {"label": [f"{OWNER_LABEL}={OWNER}", f"{CLUSTER_LABEL}={cluster}"]}
    for container in client.client.containers.list(all=True, filters=mine):
        with suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
    for network in client.client.networks.list(filters=mine):
        with suppress(docker.errors.NotFound):
            network.remove()
