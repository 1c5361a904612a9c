"""What an earlier run has left is taken up as it should be; errors come in words, with remedies."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from support.docker.docker_client import FakeClient
from support.docker.fake_things import FakeThings

from chaos.gameday import docker_handle
from chaos.gameday.choices import Settings, choose_backend
from chaos.gameday.docker_handle import DockerBackend, engine_words, need_client, need_engine
from chaos.gameday.errors import FaultError, OptionError, StartError
from chaos.gameday.requests import Done, Ready, Request
from chaos.testing import NoDockerError
from cluster.errors import EngineError, HostError
from cluster.patroni.config import Passwords
from cluster.substrates.docker import hosts, leftovers
from cluster.substrates.docker.hosts import why_ended
from cluster.substrates.docker.kept import Known
from cluster.substrates.docker.labels import KEEPER, NOBODY, RUN, TESTING
from cluster.substrates.owner import this_process
from cluster.topology.load import find_topology

GROUP = ExceptionGroup(
    "unhandled errors in a TaskGroup", [HostError("Docker: no wan"), HostError("Docker: no paris")]
)
READY = Ready(superuser="postgres", superuser_password="x")


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeThings:
    """An engine that has nothing yet."""
    fake = FakeThings(tmp_path / "bin")
    fake.client.use(monkeypatch)
    monkeypatch.setattr(docker_handle, "need_engine", lambda images: None)
    monkeypatch.setattr(docker_handle, "image_name", lambda short: f"bascule/{short}:0")
    monkeypatch.setattr(leftovers, "SETTLE_S", 0.0)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return fake


@pytest.fixture
def backend() -> DockerBackend:
    return DockerBackend(find_topology("three-sites"), reuse=True)


class Attempts:
    """In place of the thread that serves: what was attempted, and whether it fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, engine: FakeThings, *failing: bool) -> None:
        self.up: list[bool] = []
        self.marks: list[Mapping[str, str]] = []
        self._failing = failing
        self._engine = engine

        def serve(backend: DockerBackend, *arguments: object, **options: Any) -> Ready:  # noqa: ANN401 (as the real one's)
            return self._serve(backend, **options)

        monkeypatch.setattr(DockerBackend, "_serve", serve)

    def _serve(
        self,
        backend: DockerBackend,
        *,
        marks: Mapping[str, str] | None = None,
        known: Known | None = None,
    ) -> Ready:
        is_up = known is not None
        self.up.append(is_up)
        if marks is not None:
            self.marks.append(marks)
            self._engine.put("containers", "new-db", backend._run, marks[KEEPER], TESTING)
        if is_up in self._failing:
            raise StartError("it was not whole after 90 s: no answer from db-paris")
        made: Any = backend
        made._hosts = type("Hosts", (), {"block": IPv4Network("10.93.0.0/16")})
        credentials = known.credentials if known else Passwords()
        cluster = type("Cluster", (), {"credentials": credentials})
        made._caretaker = type("Caretaker", (), {"cluster": cluster})
        return READY


def test_a_kept_cluster_is_left_and_taken_over(
    engine: FakeThings, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Attempts(monkeypatch, engine)
    for _ in range(2):
        backend.start(timeout_s=1.0)
        backend.stop()
        assert engine.left == ["new-db"]
    assert attempts.up == [False, True]
    [marks] = attempts.marks
    assert marks[KEEPER] == NOBODY


def test_a_kept_cluster_that_does_not_get_whole_is_made_anew(
    engine: FakeThings,
    backend: DockerBackend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Attempts(monkeypatch, engine)
    backend.start(timeout_s=1.0)
    engine.put("networks", "old-wan", backend._run, NOBODY, TESTING)
    backend.stop()
    attempts = Attempts(monkeypatch, engine, True)
    backend.start(timeout_s=1.0)
    backend.stop()
    assert attempts.up == [True, False]
    assert engine.left == ["new-db"]
    assert "no answer from db-paris" in capsys.readouterr().err


def test_one_that_cannot_be_made_leaves_nothing(
    engine: FakeThings, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attempts(monkeypatch, engine, False)
    with pytest.raises(StartError, match="not whole"):
        backend.start(timeout_s=1.0)
    assert engine.left == []
    attempts = Attempts(monkeypatch, engine)
    backend.start(timeout_s=1.0)  # nor is it known to the next
    assert attempts.up == [False]
    backend.stop()


def test_one_that_is_not_kept_is_this_process_s_and_has_what_guards_it(
    engine: FakeThings, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Attempts(monkeypatch, engine)
    backend = DockerBackend(find_topology("three-sites"))
    backend.guard = lambda: {"org.testcontainers.session-id": "s"}
    backend.start(timeout_s=1.0)
    backend.stop()
    [marks] = attempts.marks
    assert marks[KEEPER] == this_process()
    assert marks[RUN] == backend._run
    assert marks["org.testcontainers.session-id"] == "s"
    assert engine.left == []


def test_what_could_not_be_removed_is_removed_by_the_next_stop(
    engine: FakeThings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attempts(monkeypatch, engine)
    monkeypatch.setattr(leftovers, "DEADLINE_S", 0.3)
    backend = DockerBackend(find_topology("three-sites"))
    backend.start(timeout_s=1.0)
    engine.refuse("the disk is on fire")
    for _ in range(2):
        with pytest.raises(StartError, match="the disk is on fire"):
            backend.stop()
    engine.refuse("")
    backend.stop()
    assert engine.left == []


def test_what_a_failed_start_could_not_remove_is_told(
    engine: FakeThings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Attempts(monkeypatch, engine, False)
    monkeypatch.setattr(leftovers, "DEADLINE_S", 0.3)
    backend = DockerBackend(find_topology("three-sites"))
    engine.refuse("the disk is on fire")
    with pytest.raises(StartError, match="not whole"):
        backend.start(timeout_s=1.0)
    assert "stays until the next start: Docker refused: " in (said := capsys.readouterr().err)
    assert "the disk is on fire" in said
    engine.refuse("")
    backend.stop()


def test_no_start_fails_because_of_what_another_run_has_left(
    engine: FakeThings,
    backend: DockerBackend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(leftovers, "DEADLINE_S", 0.3)
    engine.put("containers", "old-db", "old", f"{this_process()}0", TESTING)
    engine.refuse("device or resource busy")
    Attempts(monkeypatch, engine)
    backend.start(timeout_s=1.0)
    backend.stop()
    assert "stays for now" in (said := capsys.readouterr().err)
    assert "resource busy" in said


def test_what_one_role_has_made_is_not_another_one_s(
    engine: FakeThings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attempts(monkeypatch, engine)
    runs = []
    for tenant in ("test/test", "app/test", "test/shop"):
        settings = Settings(reuse=True, tenant=tenant)
        made: Any = choose_backend("docker", find_topology("three-sites"), settings)
        made.start(timeout_s=1.0)
        made.stop()
        runs.append(made._run)
    assert len(set(runs)) == 3


def test_a_boot_s_errors_are_told_each(
    backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object) -> None:
        raise GROUP

    monkeypatch.setattr(hosts.ContainerHosts, "__aenter__", fail)
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
        backend.do(Request(op="strike", fault="site-cut", target="site:paris"), Done, timeout_s=1.0)


@pytest.mark.parametrize(
    ("status", "of_memory", "words"),
    [
        (137, True, "it had been killed for want of memory"),
        (137, False, "somebody else had killed it"),
        (1, False, "it had ended with status 1"),
    ],
)
def test_how_a_container_has_ended(status: int, of_memory: bool, words: str) -> None:
    assert why_ended(status, of_memory=of_memory) == words


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
def test_what_the_engine_refuses_has_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, remedy: str
) -> None:
    FakeClient(tmp_path / "refusing", f"echo '{words}' >&2; exit 1").use(monkeypatch)
    with pytest.raises(StartError) as caught, engine_words():
        leftovers.things()
    assert words in str(caught.value)
    assert remedy in str(caught.value)
    assert str(caught.value).count("remedy") == 1


@pytest.fixture
def really_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself, which the other tests do without."""
    monkeypatch.setattr(docker_handle, "need_engine", need_engine)


@pytest.mark.usefixtures("really_needed")
@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("permission denied while trying to connect", "sudo usermod -aG docker"),
        ("dial unix /var/run/docker.sock: connect: no such file or directory", "start it"),
        ("client version 1.52 is too new. Maximum supported API version is 1.47", "update"),
        ("API versions below 1.24 are no longer supported by this client.", "update"),
    ],
)
def test_the_remedy_is_of_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, remedy: str
) -> None:
    FakeClient(tmp_path / "silent", f"echo '{words}' >&2; exit 1").use(monkeypatch)
    with pytest.raises(NoDockerError) as caught:
        need_engine([])
    assert words in str(caught.value)
    assert f"remedy: {remedy}" in str(caught.value)
    assert "mode='lab' needs none" in str(caught.value)


@pytest.mark.usefixtures("really_needed")
def test_an_old_engine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = '{"Server": {"Version": "19", "ApiVersion": "1.40", "KernelVersion": "6"}}'
    FakeClient(tmp_path / "old", f"echo '{answer}'").use(monkeypatch)
    with pytest.raises(NoDockerError, match=r"too old \(API 1.40\)[\s\S]*remedy"):
        need_engine([])


def test_without_a_client_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoDockerError, match=r"docker client[\s\S]*remedy[\s\S]*mode='lab'"):
        need_client()


def test_an_error_of_the_engine_is_a_start_s() -> None:
    with pytest.raises(StartError, match="Docker refused: no"), engine_words():
        raise EngineError("no")


def test_proxies_are_refused_with_the_mode_that_has_them() -> None:
    with pytest.raises(OptionError, match=r"lb-paris has the role haproxy.*mode='lab' has it"):
        DockerBackend(find_topology("three-sites-proxies"))
