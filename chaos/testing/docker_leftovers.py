"""What of a Docker engine is ours: labels, and the removal of what is over.

Only containers and networks that carry our labels are ever touched. Several processes may look and
remove at the same time.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.testing.docker_engine import explain, tell
from chaos.testing.errors import StartError
from cluster.processes import is_gone
from cluster.processes import this_process as name_of_process

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

OWNER_LABEL = "org.bascule.owner"
OWNER = "testing"
"""Others of this project (docker-compose.yml) have other owners: each sweeps only its own."""
CLUSTER_LABEL = "org.bascule.cluster"
HOST_LABEL = "org.bascule.host"
PROCESS_LABEL = "org.bascule.process"
"""Whose cluster it is: ``<machine>/<name of the process>``. Empty: to be used again."""

REMOVE_TIMEOUT_S = 30.0
SWEEP_TIMEOUT_S = 10.0
"""For one cluster that others are removing, too; the next sweep has another try."""
POLL_S = 0.1
BUSY = ("already in progress", "active endpoints")
"""What the engine says while somebody else removes the same, or containers of the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A cluster that there is something of."""

    name: str
    process: str
    runs: bool
    """One of its containers does."""


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
    return f"{socket.gethostname()}/{name_of_process()}"


def is_over(cluster: Found) -> bool:
    """Whether the process whose cluster it is has certainly ended.

    Of another machine's nobody knows. One of this machine that ran before it came up has ended; but
    another machine may have the same name, so then nothing of the cluster may run either.
    """
    machine, _, process = cluster.process.partition("/")
    return machine == socket.gethostname() and is_gone(process, same_machine=not cluster.runs)


def containers_of(client: DockerClient, *labels: str) -> list[Any]:
    """Our containers that have these labels, too; in whatever state."""
    filters = {"label": [f"{OWNER_LABEL}={OWNER}", *labels]}
    # The client inspects one by one, and another process may be removing them.
    found: list[Any] = client.client.containers.list(all=True, filters=filters, ignore_removed=True)
    return found


def networks_of(client: DockerClient, *labels: str) -> list[Any]:
    """Our networks that have these labels, too."""
    filters = {"label": [f"{OWNER_LABEL}={OWNER}", *labels]}
    found: list[Any] = client.client.networks.list(filters=filters)
    return found


def labels_on(thing: Any) -> dict[str, str]:  # noqa: ANN401 (the engine's client has no types)
    """The labels of a container or a network."""
    config = thing.attrs.get("Config") or thing.attrs
    return dict(config.get("Labels") or {})


def find_clusters(client: DockerClient) -> list[Found]:
    """Every cluster for tests that the engine has something of."""
    containers = containers_of(client)
    running = {
        labels_on(container).get(CLUSTER_LABEL)
        for container in containers
        if container.status == "running"
    }
    processes: dict[str, str] = {}
    for thing in [*containers, *networks_of(client)]:
        labels = labels_on(thing)
        processes.setdefault(labels.get(CLUSTER_LABEL, ""), labels.get(PROCESS_LABEL, ""))
    return [
        Found(name=name, process=process, runs=name in running)
        for name, process in processes.items()
        if name
    ]


def find_kept(client: DockerClient) -> list[str]:
    """The names of those that are kept to be used again."""
    return [cluster.name for cluster in find_clusters(client) if not cluster.process]


def sweep(
    client: DockerClient,
    *,
    kept: Collection[str] = (),
    done: Callable[[str], object] = lambda cluster: None,
) -> list[str]:
    """Remove the clusters that runs which are over have left; returns their names.

    Args:
        client: the engine.
        kept: which of those that are kept to be used again, too.
        done: told of each that is removed.

    Raises:
        StartError: some could not be removed; says which. The others are.
    """
    removed, words = [], []
    for cluster in find_clusters(client):
        if is_over(cluster) if cluster.process else cluster.name in kept:
            try:
                remove(client, cluster.name, timeout_s=SWEEP_TIMEOUT_S)
            except _docker_errors() as error:
                words.append(explain(f"{cluster.name} could not be removed: {error}"))
            else:
                removed.append(cluster.name)
                done(cluster.name)
    if words:
        raise StartError("\n".join(words))
    return removed


def try_to_sweep(client: DockerClient) -> None:
    """``sweep`` before a start, which must not fail because of what another run has left."""
    try:
        sweep(client)
    except _docker_errors() as error:
        tell(f"what an earlier run has left stays for now: {error}")


def remove(client: DockerClient, cluster: str, *, timeout_s: float = REMOVE_TIMEOUT_S) -> None:
    """Remove all of one cluster: containers with their volumes, then networks. Idempotent.

    It is gone when this returns, also when others were removing it at the same time.

    Raises:
        StartError: it was not gone after ``timeout_s``.
    """
    end_s = time.monotonic() + timeout_s
    mine = f"{CLUSTER_LABEL}={cluster}"
    _until_gone(
        lambda: containers_of(client, mine),
        lambda container: container.remove(force=True, v=True),
        end_s,
    )
    _until_gone(lambda: networks_of(client, mine), lambda network: network.remove(), end_s)


def _until_gone(
    find: Callable[[], Sequence[Any]], remove_one: Callable[[Any], object], end_s: float
) -> None:
    while things := find():
        refusals = [_removal_of(thing, remove_one) for thing in things]
        words = next((refusal for refusal in refusals if refusal), None)
        if time.monotonic() > end_s:
            names = ", ".join(thing.name for thing in things)
            raise StartError(f"{names}: {words or 'still there after the removal'}")
        if words:
            time.sleep(POLL_S)


def _removal_of(thing: Any, remove_one: Callable[[Any], object]) -> str | None:  # noqa: ANN401
    """Try to remove it; None, or in words why it is not gone yet."""
    import docker.errors  # noqa: PLC0415

    try:
        remove_one(thing)
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        if any(sign in str(error) for sign in BUSY):
            return str(error)
        raise
    return None


def _docker_errors() -> tuple[type[Exception], ...]:
    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415

    return (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        StartError,
    )
