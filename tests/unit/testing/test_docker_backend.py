"""What an earlier run has left is taken up as it should be; errors of a group come in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fake_docker import FakeEngine, FakeThing, refusal

from chaos.testing import docker_backend, docker_engine, docker_node
from chaos.testing import docker_leftovers as leftovers
from chaos.testing.choices import Settings, choose_backend
from chaos.testing.docker_backend import DockerBackend
from chaos.testing.docker_hosts import ContainerHosts
from chaos.testing.docker_slots import Name
from chaos.testing.errors import FaultError, StartError
from chaos.testing.model import Done, Ready, Request
from cluster.errors import HostError
from cluster.topology.load import find_topology

KEPT = Name(cluster="c1", kept=True)
GROUP = ExceptionGroup(
    "unhandled errors in a TaskGroup", [HostError("Docker: no wan"), HostError("Docker: no paris")]
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr("testcontainers.core.container.DockerClient", lambda **options: fake)
    monkeypatch.setattr(docker_engine, "connect", lambda: fake)
    monkeypatch.setattr(docker_engine, "need_images", lambda client, images: None)
    return fake


@pytest.fixture
def backend() -> DockerBackend:
    return DockerBackend(find_topology("three-sites"), reuse=True)


def leave_kept(engine: FakeEngine, backend: DockerBackend) -> Mapping[str, FakeThing]:
    """Have a cluster that an earlier run has left."""
    containers = {}
    for host in backend.topology.hosts:
        container = engine.put("container", f"c1-{host.name}", "")
        container.attrs["Labels"][leftovers.HOST_LABEL] = host.name
        containers[host.name] = container
    for network in ("console", "wan", *(site.name for site in backend.topology.sites)):
        engine.put("network", KEPT.of(network), "")
    return containers


def network(engine: FakeEngine, name: str) -> FakeThing:
    return next(thing for thing in engine.networks_there if thing.name == KEPT.of(name))


def test_a_container_that_runs_is_joined_again_too(
    engine: FakeEngine, backend: DockerBackend
) -> None:
    """The run before may have ended while it was cut off."""
    containers = leave_kept(engine, backend)
    containers["db-orsay"].status = "exited"
    network(engine, "paris").refusals = [refusal("endpoint already exists in network")]
    assert backend._adopt(engine, KEPT) is not None  # type: ignore[arg-type]
    assert "connect c1-db-paris" in network(engine, "paris").calls
    assert len(network(engine, "wan").calls) == len(containers)
    assert containers["db-orsay"].calls == ["start"]
    assert containers["db-paris"].calls == []


class Attempts:
    """In place of the thread that serves: what was attempted, and whether it fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failing: bool) -> None:
        self.up: list[bool] = []
        self._failing = failing
        monkeypatch.setattr(DockerBackend, "_serve", self._serve)
        monkeypatch.setattr(docker_backend, "take_slot", lambda kind, held: KEPT)

    def _serve(
        self, running: object, hosts: ContainerHosts, folder: Path, timeout_s: float, *, is_up: bool
    ) -> Ready:
        self.up.append(is_up)
        if is_up in self._failing:
            raise StartError("it was not whole after 90 s: no answer from db-paris")
        return Ready(superuser="postgres", superuser_password="x")


def test_a_kept_cluster_that_does_not_get_whole_is_made_anew(
    engine: FakeEngine,
    backend: DockerBackend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = leave_kept(engine, backend)
    attempts = Attempts(monkeypatch, True)
    backend.start(timeout_s=1.0)
    backend.stop()
    assert attempts.up == [True, False]
    assert engine.closed == 1 + 6 + 6  # its own client, and one a container of each attempt
    assert not set(before.values()) & set(engine.containers_there)
    assert len(engine.containers_there) == 6
    assert "no answer from db-paris" in capsys.readouterr().err


def test_one_that_the_engine_does_not_start_is_made_anew(
    engine: FakeEngine, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = leave_kept(engine, backend)["db-paris"]
    container.status = "paused"
    container.refusals = [refusal("cannot start a paused container, try unpause instead")]
    attempts = Attempts(monkeypatch)
    backend.start(timeout_s=1.0)
    backend.stop()
    assert attempts.up == [False]
    assert container not in engine.containers_there
    assert len(engine.containers_there) == 6


def test_one_that_cannot_be_made_leaves_nothing(
    engine: FakeEngine, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attempts(monkeypatch, False)
    with pytest.raises(StartError, match="not whole"):
        backend.start(timeout_s=1.0)
    assert engine.containers_there == engine.networks_there == []


def test_what_could_not_be_removed_is_removed_by_the_next_stop(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attempts(monkeypatch)
    monkeypatch.setattr(docker_node, "start_ryuk", lambda: None)
    backend = DockerBackend(find_topology("three-sites"))
    backend.start(timeout_s=1.0)
    engine.containers_there[0].refusals = [refusal("the disk is on fire")] * 2
    for _ in range(2):
        with pytest.raises(StartError, match="the disk is on fire"):
            backend.stop()
    backend.stop()
    assert engine.containers_there == engine.networks_there == []


def test_what_a_failed_start_could_not_remove_is_told(
    engine: FakeEngine,
    backend: DockerBackend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse() -> None:
        if engine.containers_there:
            raise refusal("the disk is on fire")

    Attempts(monkeypatch, False)
    engine.on_list = refuse
    with pytest.raises(StartError, match="not whole"):
        backend.start(timeout_s=1.0)
    assert "stays until the next start: Docker refused: " in (said := capsys.readouterr().err)
    assert "the disk is on fire" in said


def test_what_one_role_has_made_is_not_another_one_s(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    kinds = []

    def note(kind: str, held: object) -> Name:
        kinds.append(kind)
        return KEPT

    monkeypatch.setattr(docker_backend, "take_slot", note)
    for tenant in ("test/test", "app/test", "test/shop"):
        made: Any = choose_backend(
            "docker", find_topology("three-sites"), Settings(reuse=True, tenant=tenant)
        )
        made._choose_name()
    assert len(set(kinds)) == 3


def test_a_boot_s_errors_are_told_each(
    engine: FakeEngine, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object, hosts: object, folder: object) -> None:
        raise GROUP

    monkeypatch.setattr(DockerBackend, "_raise", fail)
    monkeypatch.setattr(docker_backend, "take_slot", lambda kind, held: KEPT)
    with pytest.raises(StartError, match=r"Docker: no wan; Docker: no paris"):
        backend.start(timeout_s=1.0)


def test_a_fault_s_errors_are_told_each(backend: DockerBackend) -> None:
    class Serving:
        def do(self, *arguments: object, timeout_s: float) -> object:
            raise GROUP

    class Caretaker:
        do = None

    backend._serving, backend._caretaker = Serving(), Caretaker()  # type: ignore[assignment]
    with pytest.raises(FaultError, match=r"Docker: no wan; Docker: no paris"):
        backend.do(Request(op="cut", site="paris"), Done, timeout_s=1.0)
