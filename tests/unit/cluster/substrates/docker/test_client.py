"""How the docker client is called: for which project, with which environment, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import anyio
import psutil
import pytest
from support.docker.docker_client import FakeClient

from cluster.errors import EngineError, HostError, PrerequisiteError
from cluster.substrates.base import Process
from cluster.substrates.docker import client as docker
from cluster.substrates.docker import leftovers as keeper
from cluster.substrates.docker.addresses import taken_networks
from cluster.substrates.docker.hosts import ContainerHosts
from cluster.substrates.docker.raiser import ContainerRaiser
from cluster.substrates.docker.unit_container import bind_mount
from cluster.topology.load import load_builtin

DEADLINE_S = 20.0
PLUGIN = 'sleep 60 & echo $! >"$here/plugin"; '
"""What the client of compose is: a program that has a child."""
NOTHING = """
case "$*" in
    'network inspect'*) echo '[]' ;;
    *.Running*.ExitCode*) echo false 0 never ;;
    *.Running*) echo false never ;;
    *.StartedAt*) echo never ;;
esac
"""
"""An engine that has nothing, and starts nothing."""


def plugin_of(client: FakeClient) -> psutil.Process:
    """The child of the client, once it runs."""
    path = client.folder / "plugin"
    end_s = time.monotonic() + DEADLINE_S
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end_s
        time.sleep(0.01)
    return psutil.Process(int(path.read_text()))


def is_over(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def wait_over(process: psutil.Process) -> None:
    with anyio.fail_after(DEADLINE_S):
        while not is_over(process):
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_a_project_is_the_drills_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", NOTHING)
    client.use(monkeypatch)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "somebody-elses")
    monkeypatch.setenv("COMPOSE_FILE", "/somebody/elses.yml")
    topology = load_builtin("three-sites")
    async with ContainerHosts(topology, folder=tmp_path, run="r1", on_exit=lambda end: None):
        pass
    create = next(call for call in client.calls if call.startswith("compose "))
    assert create == (
        f"compose --project-name bascule-r1 --project-directory {tmp_path}"
        f" --file {tmp_path}/compose.yml --env-file /dev/null create"
    )
    assert not [line for line in client.environment if line.startswith("COMPOSE_")]


@pytest.mark.anyio
async def test_a_unit_has_its_values_and_the_client_only_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", NOTHING)
    client.use(monkeypatch)
    monkeypatch.setenv("HOME", "/home/of-the-caller")
    unit = Process(
        name="try", argv=("true",), env={"DOCKER_HOST": "in", "A": "b c"}, secrets={"WORD": "x7"}
    )
    topology = load_builtin("three-sites")
    sites = ContainerHosts(topology, folder=tmp_path, run="r1", on_exit=lambda end: None)
    async with sites:
        with pytest.raises(HostError, match="did not start"):  # it was created by then
            await sites.start_unit("app-paris", unit)
    create = next(call for call in client.calls if call.startswith("create "))
    assert " --env=HOME=/tmp --env=DOCKER_HOST=in --env=A=b c --env=WORD --entrypoint " in create
    assert "x7" not in create
    assert "HOME=/home/of-the-caller" in client.environment
    assert "WORD=x7" in client.environment
    assert not [line for line in client.environment if line in {"HOME=/tmp", "DOCKER_HOST=in"}]


@pytest.mark.anyio
async def test_what_stays_is_no_error_of_a_drill_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``run_beside`` tries again, and says it; who has no such command is told here."""
    stuck = "test $1 = ps && printf 'stuck\\tr1\\tk\\tdrill\\n'"
    client = FakeClient(tmp_path / "bin", stuck + NOTHING)
    client.use(monkeypatch)
    monkeypatch.setattr(keeper, "DEADLINE_S", 0.1)
    topology = load_builtin("three-sites")
    async with ContainerRaiser(tmp_path, "r1").sites(topology, on_exit=lambda end: None):
        pass
    assert "rm --force --volumes stuck" in client.calls
    sites = ContainerHosts(topology, folder=tmp_path, run="r1", on_exit=lambda end: None)
    with pytest.raises(EngineError, match="could not be removed: container stuck"):
        async with sites:
            pass


@pytest.mark.parametrize("name", ["HOME", "PATH", "DOCKER_CONFIG", "COMPOSE_FILE"])
def test_no_secret_is_given_to_the_client_as_a_variable_that_it_heeds(name: str) -> None:
    with pytest.raises(EngineError, match=name):
        docker.environment({name: "/tmp"})
    assert docker.environment({"HOMES": "2"})["HOMES"] == "2"


def test_a_build_without_changes_makes_no_new_image() -> None:
    """Attestations have the time in them."""
    assert docker.environment()["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"


@pytest.mark.anyio
async def test_words_on_both_outputs_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where buildx builds, what the step said is on one, and that it failed on the other."""
    client = FakeClient(tmp_path / "bin", "echo what it said; echo that it failed >&2; exit 1")
    client.use(monkeypatch)
    with pytest.raises(EngineError, match="what it said\nthat it failed"):
        docker.run_now(["compose", "build"])
    with pytest.raises(EngineError, match="what it said\nthat it failed"):
        await docker.run("compose", "build")


def test_a_client_that_takes_too_long_is_killed_with_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", PLUGIN + "wait")
    client.use(monkeypatch)
    with pytest.raises(EngineError, match=r"docker compose create .* not done after 0.3 s"):
        docker.run_now(["compose", "create"], timeout_s=0.3)
    anyio.run(wait_over, plugin_of(client))


@pytest.mark.anyio
async def test_also_without_blocking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(tmp_path / "bin", PLUGIN + "wait")
    client.use(monkeypatch)
    with pytest.raises(EngineError, match=r"docker compose create .* not done after 0.3 s"):
        await docker.run("compose", "create", timeout_s=0.3)
    await wait_over(plugin_of(client))


@pytest.mark.anyio
async def test_a_cancelled_client_that_does_not_finish_is_killed_with_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", PLUGIN + "wait")
    client.use(monkeypatch)
    monkeypatch.setattr(docker, "FINISH_TIMEOUT_S", 0.2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(docker.run, "compose", "create")
        plugin = await anyio.to_thread.run_sync(plugin_of, client)
        tasks.cancel_scope.cancel()
    await wait_over(plugin)


@pytest.mark.anyio
async def test_a_cancelled_client_may_finish_what_the_engine_does_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(
        tmp_path / "bin", PLUGIN + 'read -r go <"$here/go"; echo done >"$here/done"'
    )
    client.use(monkeypatch)
    os.mkfifo(client.folder / "go")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(docker.run, "compose", "create")
        plugin = await anyio.to_thread.run_sync(plugin_of, client)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.Path(client.folder / "go").write_text("go\n")
            plugin.send_signal(signal.SIGKILL)  # it has the client's output open
    assert (client.folder / "done").exists()


@pytest.mark.anyio
async def test_no_client_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="no docker client on PATH"):
        await docker.run("version")


@pytest.mark.parametrize(
    "words",
    [
        "Error: No such network: 0a1b",
        "Error response from daemon: network 0a1b not found",
        "Error: No such network: 0a1b\\n[]",
    ],
)
def test_a_network_that_goes_between_list_and_look_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    script = f"""
test "$2" = ls && exec echo 0a1b
test -e "$here/again" && exec echo '[]'
touch "$here/again"; echo "{words}" >&2; exit 1
"""
    client = FakeClient(tmp_path / "bin", script)
    client.use(monkeypatch)
    taken_networks()
    assert client.calls == ["network ls --quiet", "network inspect 0a1b"] * 2


@pytest.mark.parametrize(
    "words",
    [
        "dial unix /run/none.sock: connect: no such file or directory",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
    ],
)
def test_an_engine_that_does_not_answer_is_no_network_that_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    client = FakeClient(tmp_path / "bin", f'echo "{words}" >&2; exit 1')
    client.use(monkeypatch)
    with pytest.raises(EngineError, match="network ls"):
        taken_networks()
    assert not docker.is_missing(words)


def test_a_folder_of_any_name_can_be_mounted() -> None:
    plain = bind_mount(Path("/runs/a b"), Path("/runs/a b"))
    assert plain == "type=bind,source=/runs/a b,target=/runs/a b"
    odd = bind_mount(Path('/runs/a,"b"'), "/etc/hosts")
    assert odd == 'type=bind,"source=/runs/a,""b""",target=/etc/hosts'
