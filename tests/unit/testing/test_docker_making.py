"""How a cluster of containers is made: ryuk first and once, and everything with its labels."""

from __future__ import annotations

import threading
import time

import docker.errors
import pytest
from support.fake_docker import FakeEngine, FakeThing, refusal
from testcontainers.core.config import testcontainers_config
from testcontainers.core.exceptions import ContainerConnectException
from testcontainers.core.labels import LABEL_SESSION_ID

from chaos.testing import docker_node
from chaos.testing.docker_backend import DockerBackend
from chaos.testing.docker_slots import Name
from chaos.testing.errors import StartError
from cluster.topology.load import find_topology


class SlowReaper:
    """As testcontainers': looks, and then takes its time to make one of a fixed name."""

    made = 0
    deleted = 0
    failure: Exception | None = None
    _instance: SlowReaper | None = None

    @classmethod
    def get_instance(cls) -> SlowReaper:
        if cls._instance is None:
            if cls.failure is not None:
                raise cls.failure
            time.sleep(0.05)  # long enough for every other thread to look, too
            cls.made += 1
            if cls.made > 1:
                raise refusal('Conflict. The container name "/testcontainers-ryuk" is in use')
            cls._instance = cls()
        return cls._instance

    @classmethod
    def delete_instance(cls) -> None:
        cls.deleted += 1


@pytest.fixture
def reaper(monkeypatch: pytest.MonkeyPatch) -> type[SlowReaper]:
    class Fresh(SlowReaper):
        pass

    monkeypatch.setattr(docker_node, "Reaper", Fresh)
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", False)
    return Fresh


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr("testcontainers.core.container.DockerClient", lambda **options: fake)
    return fake


def make(engine: FakeEngine, *, kept: bool) -> None:
    backend = DockerBackend(find_topology("three-sites"))
    backend._make(engine, Name(cluster="c1", kept=kept))  # type: ignore[arg-type]


def has_session(thing: FakeThing) -> bool:
    return LABEL_SESSION_ID in thing.attrs["Labels"]


def test_six_containers_are_made_at_once_and_one_ryuk(
    engine: FakeEngine, reaper: type[SlowReaper]
) -> None:
    make(engine, kept=False)
    assert reaper.made == 1
    assert len(engine.containers_there) == 6
    assert len(engine.networks_there) == 5


def test_ryuk_finds_the_networks_too(engine: FakeEngine, reaper: type[SlowReaper]) -> None:
    make(engine, kept=False)
    assert all(has_session(thing) for thing in engine.containers_there)
    assert all(has_session(thing) for thing in engine.networks_there)


def test_ryuk_is_not_started_for_what_is_kept(engine: FakeEngine, reaper: type[SlowReaper]) -> None:
    make(engine, kept=True)
    assert reaper.made == 0
    assert not any(has_session(thing) for thing in engine.containers_there)
    assert not any(has_session(thing) for thing in engine.networks_there)


def test_clusters_of_several_threads_share_one_ryuk(reaper: type[SlowReaper]) -> None:
    failures: list[StartError] = []

    def start() -> None:
        try:
            docker_node.start_ryuk()
        except StartError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert reaper.made == 1


@pytest.mark.parametrize(
    "failure",
    [
        docker.errors.ImageNotFound("pull access denied for testcontainers/ryuk"),
        ContainerConnectException("Could not obtain network details"),
        ConnectionRefusedError("refused"),
        TimeoutError("Timed out after 20 seconds"),
    ],
)
def test_without_ryuk_it_says_what_to_do(reaper: type[SlowReaper], failure: Exception) -> None:
    reaper.failure = failure
    with pytest.raises(StartError, match=r"ryuk[\s\S]*TESTCONTAINERS_RYUK_DISABLED=true") as caught:
        docker_node.start_ryuk()
    assert str(failure) in str(caught.value)
    assert reaper.deleted == 1  # the half of it would be in the way of another attempt
