"""A Docker engine without one, for what no real one does on demand: to refuse.

Stands where testcontainers' ``DockerClient`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import docker.errors
from testcontainers.core.config import ConnectionMode

from chaos.testing import docker_leftovers as leftovers


def refusal(words: str) -> docker.errors.APIError:
    """What the client raises when the engine says no."""
    return docker.errors.APIError("409 Client Error", explanation=words)


class FakeThing:
    """A container or a network.

    Args:
        engine: has it.
        name: its name.
        labels: its labels.
        status: of a container.
        state: ``State`` of its inspection.
    """

    def __init__(
        self,
        engine: FakeEngine,
        name: str,
        labels: Mapping[str, str],
        *,
        status: str = "running",
        state: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self.id = name
        self.status = status
        self.attrs = {"Labels": dict(labels), "State": dict(state or {})}
        self.refusals: list[Exception] = []
        """Raised by the next calls, one each."""
        self.calls: list[str] = []
        self._engine = engine

    def remove(self, **options: object) -> None:
        self._call("remove")
        for things in (self._engine.containers_there, self._engine.networks_there):
            if self in things:
                things.remove(self)

    def reload(self) -> None:
        """It is as it is."""

    def start(self) -> None:
        self._call("start")
        self.status = "running"

    def kill(self) -> None:
        self._call("kill")

    def connect(self, container: FakeThing, *, aliases: Sequence[str]) -> None:
        self._call(f"connect {container.name}")

    def disconnect(self, container: FakeThing) -> None:
        self._call(f"disconnect {container.name}")

    def _call(self, what: str) -> None:
        self.calls.append(what)
        if self.refusals:
            raise self.refusals.pop(0)


class FakeEngine:
    """A client and its engine in one."""

    def __init__(self) -> None:
        self.containers_there: list[FakeThing] = []
        self.networks_there: list[FakeThing] = []
        self.closed = 0
        self.images_there: set[str] = set()
        self.listings: list[Mapping[str, object]] = []
        """The options of each listing of containers."""
        self.on_list: Callable[[], object] = lambda: None
        self.api = SimpleNamespace(api_version="1.47")
        self.client = self
        self.containers = SimpleNamespace(list=self._list_containers, create=self._create_container)
        self.networks = SimpleNamespace(
            list=self._list_networks, create=self._create_network, get=self._get_network
        )
        self.images = SimpleNamespace(get=self._get_image)

    def put(
        self,
        kind: str,
        name: str,
        process: str,
        *,
        status: str = "running",
        state: Mapping[str, object] | None = None,
    ) -> FakeThing:
        """Have a container or a network of ours."""
        labels = {
            leftovers.OWNER_LABEL: leftovers.OWNER,
            leftovers.CLUSTER_LABEL: name.partition("-")[0],
            leftovers.PROCESS_LABEL: process,
        }
        thing = FakeThing(self, name, labels, status=status, state=state)
        (self.containers_there if kind == "container" else self.networks_there).append(thing)
        return thing

    def ping(self) -> None:
        """It is there."""

    def close(self) -> None:
        self.closed += 1

    def get_connection_mode(self) -> ConnectionMode:
        return ConnectionMode.docker_host

    def host(self) -> str:
        return "localhost"

    def _list_containers(self, *, filters: Mapping[str, Any], **options: object) -> list[FakeThing]:
        self.listings.append(options)
        self.on_list()
        return [thing for thing in self.containers_there if _has(thing, filters["label"])]

    def _list_networks(self, *, filters: Mapping[str, Any]) -> list[FakeThing]:
        return [thing for thing in self.networks_there if _has(thing, filters["label"])]

    def _create_container(
        self, image: str, *, name: str, labels: Mapping[str, str], **options: object
    ) -> FakeThing:
        thing = FakeThing(self, name, labels, status="created")
        self.containers_there.append(thing)
        return thing

    def _create_network(
        self, name: str, *, labels: Mapping[str, str], **options: object
    ) -> FakeThing:
        thing = FakeThing(self, name, labels)
        self.networks_there.append(thing)
        return thing

    def _get_network(self, name: str) -> FakeThing:
        for thing in self.networks_there:
            if thing.name == name:
                return thing
        raise docker.errors.NotFound(f"network {name} not found")

    def _get_image(self, name: str) -> object:
        if name not in self.images_there:
            raise docker.errors.ImageNotFound(f"no such image: {name}")
        return name


def _has(thing: FakeThing, labels: Sequence[str]) -> bool:
    found = [f"{name}={value}" for name, value in thing.attrs["Labels"].items()]
    return all(label in found for label in labels)
