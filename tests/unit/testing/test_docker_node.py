"""A container and its networks: what was done before is no error, and everything else is one."""

from __future__ import annotations

import anyio
import docker.errors
import pytest
from support.fake_docker import FakeEngine, FakeThing, refusal
from testcontainers.core.config import testcontainers_config

from chaos.testing.docker_hosts import _call
from chaos.testing.docker_node import HostContainer
from cluster.errors import HostError


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    fake.put("network", "wan", "")
    monkeypatch.setattr("testcontainers.core.container.DockerClient", lambda **options: fake)
    return fake


@pytest.fixture
def wan(engine: FakeEngine) -> FakeThing:
    return engine.networks_there[0]


def machine(engine: FakeEngine, *, status: str = "running", **state: object) -> HostContainer:
    made = HostContainer(
        "image", host="db", name="db", console="console", networks=["wan"], labels={}, kept=False
    )
    made.adopt(engine.put("container", "db", "", status=status, state=state))  # type: ignore[arg-type]
    return made


def test_our_images_are_in_no_mirror(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "hub_image_name_prefix", "mirror.example/")
    assert machine(engine).image == "image"


def test_what_is_connected_is_joined_and_what_is_not_is_left(
    engine: FakeEngine, wan: FakeThing
) -> None:
    wan.refusals = [refusal("endpoint with name db already exists in network wan")]
    machine(engine).join(["wan"])
    wan.refusals = [refusal("container 1b2c is not connected to network wan")]
    machine(engine).leave(["wan"])
    assert wan.calls == ["connect db", "disconnect db"]


@pytest.mark.parametrize(
    "failure", [refusal("no space left on device"), docker.errors.NotFound("no such network")]
)
def test_a_cut_that_failed_is_not_reported_as_one(
    engine: FakeEngine, wan: FakeThing, failure: Exception
) -> None:
    wan.refusals = [failure, failure]
    with pytest.raises(docker.errors.APIError):
        machine(engine).leave(["wan"])
    with pytest.raises(docker.errors.APIError):
        machine(engine).join(["wan"])


def test_the_engine_s_words_come_with_their_remedy(engine: FakeEngine, wan: FakeThing) -> None:
    wan.refusals = [refusal("no space left on device")]
    with pytest.raises(HostError, match=r"no space left[\s\S]*docker system df"):
        anyio.run(_call, machine(engine).leave, ["wan"])


def test_a_dead_container_is_killed_already(engine: FakeEngine) -> None:
    made = machine(engine)
    engine.containers_there[0].refusals = [refusal("container 1b2c is not running"), refusal("x")]
    made.kill()
    with pytest.raises(docker.errors.APIError):
        made.kill()


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        ("running", {}, None),
        ("exited", {"ExitCode": 137, "OOMKilled": True}, "it had been killed for want of memory"),
        ("exited", {"ExitCode": 137, "OOMKilled": False}, "somebody else had killed it"),
        ("exited", {"ExitCode": 1}, "it had ended with status 1"),
    ],
)
def test_how_a_container_has_ended(
    engine: FakeEngine, status: str, state: dict[str, object], words: str | None
) -> None:
    assert machine(engine, status=status, **state).end() == words
