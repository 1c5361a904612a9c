"""What ``--substrate compose`` refuses before anything is made, each with the remedy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from support.commands.commands import BASCULE, bascule, running, wait_until
from support.docker.docker_client import FakeClient

from cluster.errors import EngineError, PrerequisiteError
from cluster.substrates.docker import images, machine
from cluster.topology.load import find_topology, to_toml

TIMEOUT_S = 120.0
DRILL = ("drill", "--substrate", "compose", "--quiet")


def refused(
    tmp_path: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A drill that must end with 3 and leave no run folder."""
    out = tmp_path / "run"
    done = subprocess.run(
        [*BASCULE, *DRILL, "--out", str(out), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        env={**os.environ, **environment},
    )
    assert done.returncode == 3, done.stderr
    assert not out.exists()
    assert "Traceback" not in done.stderr
    assert "https://" in done.stderr or "remedy:" in done.stderr
    return done


def client(folder: Path, **answers: str) -> str:
    """A PATH with a docker client that gives these answers; for engines that cannot be had here."""
    folder.mkdir()
    lines = ["#!/bin/sh", 'case "$1" in']
    for word, answer in answers.items():
        (folder / word).write_text(answer)
        lines.append(f'{word}) cat "{folder / word}"; exit 0 ;;')
    lines += ['*) echo "docker: no such command $1" >&2; exit 1 ;;', "esac"]
    program = folder / "docker"
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def server(**fields: str) -> str:
    """What ``docker version --format '{{json .}}'`` says."""
    known = {"Version": "20.10.24", "ApiVersion": "1.41", "KernelVersion": os.uname().release}
    return json.dumps({"Client": {"Version": "28.2.2"}, "Server": {**known, **fields}})


def test_no_docker_client(tmp_path: Path) -> None:
    done = refused(tmp_path, PATH=str(tmp_path))
    assert "there is no docker client on PATH" in done.stderr
    assert "--substrate lab" in done.stderr


def test_an_engine_that_does_not_run(tmp_path: Path) -> None:
    program = client(tmp_path / "bin")
    done = refused(tmp_path, PATH=program)
    assert "the Docker engine does not answer" in done.stderr


def test_an_engine_that_is_too_old(tmp_path: Path) -> None:
    path = client(tmp_path / "bin", version=server(Version="19.03.15", ApiVersion="1.40"))
    done = refused(tmp_path, PATH=path)
    assert "the Docker engine 19.03.15 is too old (API 1.40)" in done.stderr


def test_an_engine_in_a_virtual_machine(tmp_path: Path) -> None:
    path = client(tmp_path / "bin", version=server(KernelVersion="5.15.0-linuxkit"))
    assert "runs on another kernel" in refused(tmp_path, PATH=path).stderr


def test_a_compose_that_is_missing_or_too_old(tmp_path: Path) -> None:
    path = client(tmp_path / "none", version=server())
    assert "docker has no compose plugin" in refused(tmp_path, PATH=path).stderr
    path = client(tmp_path / "old", version=server(), compose="v2.17.2\n")
    assert "docker compose v2.17.2 is too old" in refused(tmp_path, PATH=path).stderr


def test_a_compose_that_builds_with_buildx_where_there_is_none(tmp_path: Path) -> None:
    path = client(tmp_path / "none", version=server(), compose="5.0.1\n")
    done = refused(tmp_path, PATH=path)
    assert "docker compose 5.0.1 builds images with the buildx plugin" in done.stderr
    assert "docker-buildx-plugin" in done.stderr


def test_a_client_of_another_program(tmp_path: Path) -> None:
    """As podman-docker answers."""
    answer = json.dumps({"Client": {"APIVersion": "4.9.3", "Version": "4.9.3"}})
    done = refused(tmp_path, PATH=client(tmp_path / "none", version=answer))
    assert "the Docker engine does not answer" in done.stderr
    assert "podman-docker" in done.stderr
    answer = json.dumps({"Server": {"APIVersion": "4.9.3", "Version": "4.9.3"}})
    done = refused(tmp_path, PATH=client(tmp_path / "other", version=answer))
    assert "podman-docker" in done.stderr


@pytest.mark.parametrize(
    ("option", "words"), [("rootless", "is rootless"), ("userns", "maps users (userns-remap)")]
)
def test_an_engine_that_maps_users(tmp_path: Path, option: str, words: str) -> None:
    options = ["name=seccomp,profile=default", f"name={option}"]
    path = client(
        tmp_path / "bin",
        version=server(),
        compose="v2.40.3\n",
        info=json.dumps({"SecurityOptions": options}),
        network="\n",
    )
    assert words in refused(tmp_path, PATH=path).stderr


def test_an_engine_whose_bridge_is_not_here(tmp_path: Path) -> None:
    """The same kernel says nothing: Docker Desktop in WSL2 has it, and a machine like this one."""
    path = client(
        tmp_path / "bin",
        version=server(),
        compose="v2.40.3\n",
        info=json.dumps({"SecurityOptions": ["name=seccomp,profile=default"]}),
        network="192.0.2.1\n",
    )
    done = refused(tmp_path, PATH=path)
    assert "the Docker engine's bridge (192.0.2.1) is no interface of this machine" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_images_are_built_ends_the_client_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    script = f"""
case "$*" in
    version*) echo '{server()}' ;;
    info*) echo '{{}}' ;;
    compose*version*) echo v2.40.3 ;;
    compose*build*) echo $$ >"$here/builder"; exec sleep 60 ;;
    *'image inspect'*) echo sha256:0123 ;;
esac
"""
    FakeClient(tmp_path / "bin", script).use(monkeypatch)
    builder = tmp_path / "bin" / "builder"
    with running(*DRILL, "--out", str(tmp_path / "run")) as process:
        wait_until(
            lambda: builder.exists() and builder.read_text().endswith("\n"),
            timeout_s=TIMEOUT_S,
            what="a build",
        )
        building = psutil.Process(int(builder.read_text()))
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert not building.is_running()
    assert not (tmp_path / "run").exists()


@pytest.mark.docker
def test_an_engine_on_another_machine_that_is_like_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This machine, when it thinks that it is another one."""
    other = "00000000-0000-0000-0000-000000000000"
    monkeypatch.setattr(machine, "boot_id", lambda: other)
    with pytest.raises(PrerequisiteError, match="runs on another machine"):
        images.prepare_images()
    assert not images.is_engine_here()
    monkeypatch.setattr(machine, "has_own_boot_id", lambda: True)
    assert images.is_engine_here()


@pytest.mark.docker
def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    """The real client's words."""
    done = refused(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert "the Docker engine does not answer" in done.stderr
    assert "none.sock" in done.stderr


@pytest.mark.docker
def test_a_real_client_without_the_plugin(tmp_path: Path) -> None:
    """Plugins are looked for in the client's folder first; an empty HOME has none of them."""
    found = subprocess.run(
        ["docker", "compose", "version"],
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
        env={**os.environ, "DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)},
    )
    if found.returncode == 0:  # it is installed for the whole machine
        assert bascule("compose", "check").returncode == 0
        return
    done = refused(tmp_path, DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path))
    assert "docker has no compose plugin" in done.stderr


@pytest.mark.docker
def test_an_image_that_is_missing_and_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the package is installed without its source."""
    monkeypatch.setattr(images, "COMPOSE_FILE", tmp_path / "docker-compose.yml")
    monkeypatch.setattr(images, "image_name", lambda short: f"bascule/no-such-{short}:0")
    with pytest.raises(PrerequisiteError, match=r"no-such-postgres:0 is missing(.|\n)*remedy"):
        images.prepare_images()


@pytest.mark.docker
def test_a_build_that_fails_is_told_in_the_builders_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "docker-compose.yml"
    services = {name: {"image": f"bascule/broken-{name}:0"} for name in images.BUILT_BY.values()}
    broken = {
        "dockerfile_inline": "FROM debian:bookworm-slim\nRUN echo fire on disk $((6*7)); false"
    }
    services["secrets"]["build"] = broken  # type: ignore[assignment]
    file.write_text(json.dumps({"services": services}))
    monkeypatch.setattr(images, "COMPOSE_FILE", file)
    monkeypatch.setattr(images, "SOURCE", tmp_path)
    with pytest.raises(PrerequisiteError, match="could not be built") as caught:
        images.prepare_images()
    assert "fire on disk 42" in str(caught.value)
    assert "failed to solve" in str(caught.value)
    assert isinstance(caught.value.__cause__, EngineError)


def test_topologies_and_options_that_containers_cannot_be(tmp_path: Path) -> None:
    """Wrong words, so exit code 2."""
    text = to_toml(find_topology("three-sites")).replace('["postgres"]', '["postgres", "etcd"]')
    topology = tmp_path / "shared.toml"
    topology.write_text(text)
    out = str(tmp_path / "run")
    done = bascule(*DRILL, "--topology", str(topology), "--out", out)
    assert done.returncode == 2, done.stderr
    assert "db-paris has 2 roles; on containers every host is one container" in done.stderr
    done = bascule(*DRILL, "--pg-bindir", "/usr/bin", "--out", out)
    assert done.returncode == 2
    assert "--pg-bindir is for --substrate lab" in done.stderr
