"""What is said of an engine that refuses, does not answer, is too old, or lacks the images."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import docker.errors
import pytest
import requests.exceptions
from support.fake_docker import FakeEngine, refusal

from chaos.testing import docker_engine
from chaos.testing.docker_engine import connect, docker_words, need_images
from chaos.testing.errors import NoDockerError, StartError

FETCHING = "Error while fetching server API version: "
IMAGES = ("bascule/postgres:0", "bascule/etcd:0")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def answering(monkeypatch: pytest.MonkeyPatch, make: Callable[[], FakeEngine]) -> None:
    monkeypatch.setattr("testcontainers.core.docker_client.DockerClient", make)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (f"{FETCHING}PermissionError(13, 'Permission denied')", "sudo usermod -aG docker"),
        (f"{FETCHING}FileNotFoundError(2, 'No such file or directory')", "start it"),
        ("client version 1.52 is too new. Maximum supported API version is 1.47", "update"),
        ("API versions below 1.24 are no longer supported by this library.", "update"),
    ],
)
def test_the_remedy_is_of_the_cause(
    monkeypatch: pytest.MonkeyPatch, words: str, remedy: str
) -> None:
    def refuse() -> FakeEngine:
        raise docker.errors.DockerException(words)

    answering(monkeypatch, refuse)
    with pytest.raises(NoDockerError) as caught:
        connect()
    assert words in str(caught.value)
    assert f"remedy: {remedy}" in str(caught.value)


def test_an_old_engine_is_refused(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
    engine.api.api_version = "1.40"
    answering(monkeypatch, lambda: engine)
    with pytest.raises(NoDockerError, match=r"too old \(API 1.40\)[\s\S]*remedy"):
        connect()


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("write /var/lib/docker/x: no space left on device", "docker system df"),
        ("all predefined address pools have been fully subnetted", "docker network prune"),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            "docker network prune",
        ),
    ],
)
def test_what_the_engine_refuses_has_its_remedy(words: str, remedy: str) -> None:
    with pytest.raises(StartError) as caught, docker_words():
        raise refusal(words)
    assert words in str(caught.value)
    assert remedy in str(caught.value)
    assert str(caught.value).count("remedy") == 1


def test_images_that_are_there_are_not_built(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    engine.images_there.update(IMAGES)
    monkeypatch.setattr(subprocess, "run", None)
    need_images(engine, IMAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "failure", [refusal("no space left on device"), requests.exceptions.ConnectionError("reset")]
)
def test_the_engine_fails_while_it_is_asked_for_images(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, failure: Exception
) -> None:
    def fail(name: str) -> object:
        raise failure

    engine.images.get = fail
    with pytest.raises(StartError, match="Docker refused"):
        need_images(engine, IMAGES)  # type: ignore[arg-type]


class Builds:
    """``docker compose build`` without a docker: what it does is a function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        (folder / "docker-compose.yml").touch()
        monkeypatch.setattr(docker_engine, "CHECKOUT", folder)
        monkeypatch.setattr(docker_engine.shutil, "which", lambda program: program)
        monkeypatch.setattr(subprocess, "run", self._run)
        self.number = 0
        self.build: Callable[[], subprocess.CompletedProcess[str]] = self.succeed

    def succeed(self) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess((), 0, stdout="", stderr="")

    def _run(self, command: object, **options: object) -> subprocess.CompletedProcess[str]:
        self.number += 1
        return self.build()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Builds:
    return Builds(monkeypatch, tmp_path)


def test_several_at_once_build_once(
    builds: Builds, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [
        threading.Thread(target=need_images, args=(engine, IMAGES), daemon=True) for _ in range(3)
    ]

    def build() -> subprocess.CompletedProcess[str]:
        if builds.number == 1:
            for other in others:
                other.start()
            others[0].join(0.1)  # time enough for a second build, were there no lock
        engine.images_there.update(IMAGES)
        return builds.succeed()

    builds.build = build
    need_images(engine, IMAGES)  # type: ignore[arg-type]
    for other in others:
        other.join()
    assert builds.number == 1
    said = capsys.readouterr().err
    assert said.count("building bascule/postgres:0, bascule/etcd:0") == 1


def test_a_build_that_takes_too_long(builds: Builds, engine: FakeEngine) -> None:
    def hang() -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("docker", 1800.0)

    builds.build = hang
    with pytest.raises(NoDockerError, match=r"could not be built[\s\S]*not done after 1800 s"):
        need_images(engine, IMAGES)  # type: ignore[arg-type]


def test_a_build_that_fails_says_why_and_what_helps(builds: Builds, engine: FakeEngine) -> None:
    builds.build = lambda: subprocess.CompletedProcess(
        (), 1, stdout="", stderr="failed to solve: No space left on device"
    )
    with pytest.raises(NoDockerError, match=r"failed to solve[\s\S]*docker system df"):
        need_images(engine, IMAGES)  # type: ignore[arg-type]
