"""Every fault of the container substrate is proved to bite; sites of their own for each."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import anyio
import psutil
import pytest
from support.docker.compose_probes import CLIENT, DEADLINE_S, SERVER, conversation
from support.docker.docker_things import docker, run_of, things_of

from cluster.errors import HostError
from cluster.substrates.abilities import ABILITIES, missing_abilities
from cluster.substrates.base import Process, ProcessExit
from cluster.substrates.docker import client as docker_client
from cluster.substrates.docker.hosts import ContainerHosts
from cluster.substrates.docker.labels import RUN
from cluster.substrates.docker.project import PYTHON, container_name, project_name, unit_of
from cluster.substrates.owner import this_process
from cluster.topology.load import load_builtin

pytestmark = [
    *(pytest.mark.docker, pytest.mark.slow, pytest.mark.anyio),
    pytest.mark.usefixtures("images"),
]


@asynccontextmanager
async def raised(folder: Path, exits: list[ProcessExit]) -> AsyncIterator[ContainerHosts]:
    """Three sites; the engine has nothing of them afterwards."""
    run = secrets.token_hex(4)
    topology = load_builtin("three-sites")
    sites = ContainerHosts(topology, folder=folder, run=run, on_exit=exits.append)
    missing = missing_abilities(sites, list(ABILITIES))
    assert missing == [
        *("edit-disk", "restore-etcd", "drop-packets", "send-probes", "break-disk", "set-clock"),
        "slow-link",
    ]
    async with sites:
        assert things_of(folder)
        assert all(thing.keeper == this_process() for thing in things_of(folder))
        yield sites
    assert things_of(folder) == []


async def test_a_power_cut_is_silence_and_the_disk_stays(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites, conversation(sites, tmp_path) as talk:
        await sites.kill_host(SERVER)
        assert [(end.unit, end.status, end.expected) for end in exits] == [("echo", -9, True)]
        await talk.wait("silence")
        assert talk.heard("told") == []
        await sites.kill_host("dcs-paris")  # one that was never started: nothing to kill
        await sites.start_host("dcs-paris")


async def test_a_host_comes_back_with_its_disk_and_its_addresses(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites:
        name = container_name(sites.run, "dcs-paris", "etcd")
        assert run_of(tmp_path) == sites.run
        await sites.start_service("dcs-paris", None)
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        before = sorted(docker("inspect", "--format", form, name).split())
        docker("exec", name, "sh", "-c", "echo kept >/var/lib/etcd-member/kept")
        await sites.kill_host("dcs-paris")
        with pytest.raises(HostError, match="etcd does not run on dcs-paris"):
            await sites.kill_process("dcs-paris", "etcd", signal.SIGKILL)
        await sites.start_host("dcs-paris")
        await sites.start_service("dcs-paris", None)
        assert sorted(docker("inspect", "--format", form, name).split()) == before
        assert docker("exec", name, "cat", "/var/lib/etcd-member/kept") == "kept\n"
        with pytest.raises(HostError, match="runs already"):
            await sites.start_service("dcs-paris", None)
    assert all(end.expected for end in exits)


async def test_what_happens_to_a_host_happens_to_its_witness(tmp_path: Path) -> None:
    host, unit, exits = "dcs-paris", "witness", list[ProcessExit]()
    pause = Process(name=unit, argv=(PYTHON, "-c", "input(); __import__('signal').pause()"))
    async with raised(tmp_path, exits) as sites:
        names = [container_name(sites.run, host, one) for one in ("etcd", unit)]

        def attached() -> list[int]:
            form = "{{len .NetworkSettings.Networks}}"
            return [int(docker("inspect", "--format", form, name)) for name in names]

        async def states() -> set[str]:
            found = await sites.processes(host)
            assert {one.command.split()[0].rpartition("/")[2] for one in found} >= {
                "etcd",
                "python",
            }
            return {one.state for one in found}

        await sites.start_service(host, None)
        await sites.start_unit(host, replace(pause, stdin="its configuration\n"))
        assert attached() == [3, 2]  # it has no console
        for name in (unit, "another", "etcd"):
            with pytest.raises(HostError, match=f"{name} cannot be started on {host}"):
                await sites.start_unit(host, replace(pause, name=name))
        with pytest.raises(HostError, match="cannot be started on db-paris"):
            await sites.start_unit("db-paris", pause)  # no witness stands there
        await sites.cut_site("paris")
        assert attached() == [2, 1]
        await sites.cut_link(host)
        assert attached() == [1, 0]
        await sites.heal_site("paris")
        await sites.heal_link(host)
        assert attached() == [3, 2]
        await sites.signal_all_processes(host, signal.SIGSTOP)
        assert await states() == {"T"}
        await sites.signal_all_processes(host, signal.SIGCONT)
        assert "T" not in await states()
        await sites.kill_process(host, "etcd", signal.SIGKILL)
        assert sites.runs_unit(host, unit), "only etcd was killed"
        await sites.kill_host(host)
        assert not sites.runs_unit(host, unit)
        await sites.start_host(host)
        await sites.start_service(host, None)
        await sites.start_unit(host, replace(pause, stdin="its configuration\n"))
        assert attached() == [3, 2]
    assert all(end.expected for end in exits)


async def test_a_cut_link_is_silence_and_the_connection_lives_on(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites, conversation(sites, tmp_path) as talk:
        await sites.cut_link(SERVER)
        await sites.cut_link(SERVER)  # cut is cut
        await talk.wait("silence")
        await sites.heal_link(SERVER)
        await talk.wait("echo")
        await sites.cut_link(CLIENT)
        await talk.wait("silence")
        await sites.heal_link(CLIENT)
        await talk.wait("echo")
        assert exits == []


async def test_a_flapping_link_goes_out_and_in_until_it_is_steady(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites, conversation(sites, tmp_path) as talk:
        await sites.flap_link(SERVER, down_s=3.0, up_s=6.0)
        for _ in range(2):
            await talk.wait("silence")
            await talk.wait("echo")
        await sites.cut_link(SERVER)  # another fault, which outlasts the flapping
        assert await sites.steady_link(SERVER) >= 2
        await talk.wait("silence")
        await sites.heal_link(SERVER)
        await talk.wait("echo")
        assert await sites.steady_link(SERVER) == 0
        assert talk.heard("told") == []
        await sites.flap_link(SERVER, down_s=3.0, up_s=3.0)  # it ends with the sites
    assert all(end.expected for end in exits)


async def test_a_cut_site_is_silence_outside_and_goes_on_inside(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites, conversation(sites, tmp_path) as talk:
        await sites.start_service("dcs-paris", None)
        await sites.start_service("dcs-orsay", None)
        within, across = ("dcs-paris", SERVER), ("dcs-orsay", SERVER)
        assert await answers(sites, *within)
        assert await answers(sites, *across)
        await sites.cut_site("paris")
        await talk.wait("silence")  # the client is in Orsay, the server in Paris
        assert await answers(sites, *within)
        assert not await answers(sites, *across)
        # What loses its power meanwhile comes back into a site that is cut off still.
        await sites.kill_host("dcs-paris")
        await sites.start_host("dcs-paris")
        await sites.start_service("dcs-paris", None)
        assert await answers(sites, *within)
        assert not await answers(sites, *across)
        # A second site that is cut off hears nobody either, and is joined by itself.
        await sites.cut_site("orsay")
        await sites.heal_site("paris")
        await talk.wait("silence")
        await sites.heal_site("orsay")
        await talk.wait("echo")
        assert await answers(sites, *across)
        assert talk.heard("told") == []
    assert all(end.expected for end in exits)


async def test_names_never_stop_resolving(tmp_path: Path) -> None:
    """Neither that of a host which died while the one that asks was cut off, nor one's own."""
    async with raised(tmp_path, []) as sites:
        name = container_name(sites.run, "dcs-paris", "etcd")
        for host in ("dcs-paris", "dcs-orsay"):
            await sites.start_service(host, None)
        await sites.cut_link("dcs-paris")
        await sites.kill_host("dcs-orsay")
        for joined in (False, True):
            if joined:
                await sites.heal_link("dcs-paris")
            for host, addresses in (
                ("dcs-orsay", sites.plan.at_wan),
                ("dcs-paris", sites.plan.at_site),
            ):
                assert docker("exec", name, "getent", "hosts", host).split()[0] == addresses[host]


async def test_the_console_reaches_a_host_that_is_cut_off(tmp_path: Path) -> None:
    async with raised(tmp_path, []) as sites:
        for host in ("dcs-paris", "dcs-orsay", "dcs-saint-cloud"):
            await sites.start_service(host, None)
        await sites.cut_link("dcs-paris")
        await wait_reached(sites, "dcs-paris", 2379)


async def test_no_two_hosts_reach_each_other_over_a_console(tmp_path: Path) -> None:
    """Neither by the console's address nor through this machine, cut off or not."""
    async with raised(tmp_path, []) as sites:
        hosts = [host.name for host in sites.topology.hosts if unit_of(host)]
        names = {
            host: container_name(sites.run, host, unit_of(sites.topology.host(host)))
            for host in hosts
        }
        for host in hosts:
            await sites.start_service(host, None)
        idle = Process(name="idle", argv=(PYTHON, "-c", "import time; time.sleep(3600)"))
        await sites.start_unit(CLIENT, idle)
        names[CLIENT] = container_name(sites.run, CLIENT, "idle")
        pairs = list(itertools.permutations(hosts, 2)) + [(CLIENT, host) for host in hosts]

        # The controls: this machine reaches every console, and a host the others on the WAN.
        await wait_consoles(sites, hosts)
        with anyio.fail_after(DEADLINE_S):  # on a loaded machine a try may need more than its time
            while await reached(sites.plan.at_wan, names, pairs) != set(pairs):
                pass
        assert await reached(sites.plan.at_console, names, pairs) == set()

        for host in (*hosts, CLIENT):
            await sites.cut_link(host)
        await wait_consoles(sites, hosts)
        for addresses in (sites.plan.at_console, sites.plan.at_wan, sites.plan.at_site):
            assert await reached(addresses, names, pairs) == set()


async def test_a_link_is_cut_or_whole_also_when_somebody_stops_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_client, "FINISH_TIMEOUT_S", 0.0)
    async with raised(tmp_path, []) as sites:
        await sites.start_service("dcs-paris", None)
        name = container_name(sites.run, "dcs-paris", "etcd")
        form = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"

        def networks() -> set[str]:
            found = docker("inspect", "--format", form, name).split()
            return {one.removeprefix(f"{project_name(sites.run)}_") for one in found}

        for change, expected in (
            (sites.cut_link, {"console-dcs-paris"}),
            (sites.heal_link, {"console-dcs-paris", "paris", "wan"}),
        ):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(change, "dcs-paris")
                await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            assert networks() == expected

        # Also when the cut was half for another reason.
        await sites.cut_link("dcs-paris")
        wan = f"{project_name(sites.run)}_wan"
        docker("network", "connect", "--ip", sites.plan.at_wan["dcs-paris"], wan, name)
        await sites.heal_link("dcs-paris")
        assert networks() == {"console-dcs-paris", "paris", "wan"}


async def test_the_end_of_a_client_is_no_end_of_its_container(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites, conversation(sites, tmp_path) as talk:
        name = container_name(sites.run, CLIENT, "speak")
        [client] = clients_of(name)
        client.kill()
        await talk.wait("echo")
        assert exits == []
        [another] = clients_of(name)
        assert another.pid != client.pid
        await sites.kill_process(CLIENT, "speak", signal.SIGKILL)
        with anyio.fail_after(DEADLINE_S):
            while not exits:
                await anyio.sleep(0.05)
        assert [(end.unit, end.status, end.expected) for end in exits] == [("speak", -9, True)]


async def test_a_project_is_made_whatever_the_folder_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller who works on a compose project of his own keeps it as it is."""
    theirs = "bascule-test-bystander"
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={theirs}\nCOMPOSE_PROFILES=all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", theirs)
    monkeypatch.setenv("COMPOSE_FILE", "nowhere.yml")
    folder = tmp_path / 'run, "a" $HOME $$'
    folder.mkdir()
    (folder / ".env").write_text(f"COMPOSE_PROJECT_NAME={theirs}\n")
    async with raised(folder, []) as sites:
        assert {thing.run for thing in things_of(folder)} == {sites.run}
        label = "com.docker.compose.project"
        listing = ["--format", f'{{{{.Label "{label}"}}}}', "--filter", f"label={RUN}={sites.run}"]
        assert set(docker("ps", "--all", *listing).split()) == {project_name(sites.run)}
        assert docker("ps", "--all", "--quiet", "--filter", f"label={label}={theirs}") == ""
        await sites.start_service("dcs-paris", None)
        await wait_reached(sites, "dcs-paris", 2379)
        path = folder / "written"
        script = f"open({str(path)!r}, 'w').write('here')"
        await sites.start_unit(CLIENT, Process(name="write", argv=(PYTHON, "-c", script)))
        assert await sites.wait_unit(CLIENT, "write") == 0
        assert path.read_text() == "here"


async def test_a_process_that_is_killed_dies_as_it_was_asked_to(tmp_path: Path) -> None:
    exits: list[ProcessExit] = []
    async with raised(tmp_path, exits) as sites, conversation(sites, tmp_path) as talk:
        await sites.kill_process(SERVER, "echo", signal.SIGSTOP)
        await talk.wait("silence")
        await sites.kill_process(SERVER, "echo", signal.SIGCONT)
        await talk.wait("echo")
        await sites.kill_process(SERVER, "echo", signal.SIGKILL)
        await talk.wait_told()
        with anyio.fail_after(DEADLINE_S):
            while not exits:
                await anyio.sleep(0.05)
        assert (exits[0].host, exits[0].unit, exits[0].status) == (SERVER, "echo", -9)
        assert exits[0].expected


async def test_a_unit_is_the_caller_and_sees_no_more_than_it_needs(tmp_path: Path) -> None:
    script = (
        "import os, json, sys; print(json.dumps([os.getuid(), os.uname().nodename,"
        " 'SECRET_WORD' in os.environ, 'BASCULE_TEST_CANARY' in os.environ, sys.stdin.readline()]))"
    )
    unit = Process(
        name="look",
        argv=(PYTHON, "-c", script),
        secrets={"SECRET_WORD": "x"},
        stdin="a line\n",
    )
    async with raised(tmp_path, []) as sites:
        os.environ["BASCULE_TEST_CANARY"] = "must not get in"
        try:
            await sites.start_unit(CLIENT, unit)
        finally:
            del os.environ["BASCULE_TEST_CANARY"]
        assert await sites.wait_unit(CLIENT, "look") == 0
        log = (tmp_path / "logs" / f"{CLIENT}.look.log").read_text()
        assert log == f'[{os.getuid()}, "{CLIENT}", true, false, "a line\\n"]\n'
        await sites.start_unit(CLIENT, Process(name="ghost", argv=("/nonexistent/program",)))
        assert await sites.wait_unit(CLIENT, "ghost") != 0
        assert "/nonexistent/program" in (tmp_path / "logs" / f"{CLIENT}.ghost.log").read_text()


TRY = """
for address; do
    {
        words=$(timeout 3 bash -c ": </dev/tcp/$address/2379" 2>&1) && echo "$address" && exit
        case "$words" in *refused*) echo "$address" ;; esac
    } &
done
wait
"""
"""Prints each address of a machine that answers, were it with a refusal."""


async def answers(sites: ContainerHosts, viewer: str, server: str) -> bool:
    """Whether a host of etcd reaches another one by its name."""
    name = container_name(sites.run, viewer, "etcd")
    command = ("exec", name, "sh", "-c", TRY, "sh", server)
    return bool(await anyio.to_thread.run_sync(docker, *command))


async def reached(
    addresses: dict[str, str], names: dict[str, str], pairs: list[tuple[str, str]]
) -> set[tuple[str, str]]:
    """The pairs of which the first host reaches the second.

    Args:
        addresses: by host.
        names: the containers, by host.
        pairs: to be tried.
    """
    found = set()

    async def look(viewer: str) -> None:
        others = {addresses[host]: host for one, host in pairs if one == viewer}
        command = ("exec", names[viewer], "sh", "-c", TRY, "sh", *others)
        output = await anyio.to_thread.run_sync(docker, *command)
        found.update((viewer, others[address]) for address in output.split())

    async with anyio.create_task_group() as looks:
        for viewer in {one for one, _ in pairs}:
            looks.start_soon(look, viewer)
    return found


def reaches(address: str) -> bool:
    """Whether this machine reaches a host: a refusal comes from there too."""
    try:
        socket.create_connection((address, 2379), timeout=3).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


async def wait_consoles(sites: ContainerHosts, hosts: list[str]) -> None:
    """Wait until this machine reaches every host over its console."""
    with anyio.fail_after(DEADLINE_S):
        for host in hosts:
            while not await anyio.to_thread.run_sync(reaches, sites.plan.at_console[host]):
                await anyio.sleep(0.05)


async def wait_reached(sites: ContainerHosts, host: str, port: int) -> None:
    """Wait until somebody listens at a port of a host, over its console."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                stream = await sites.console.connect_tcp(host, port, timeout=1.0)
            except Exception:  # httpcore's several ways to say "not yet"
                await anyio.sleep(0.05)
            else:
                break
    await stream.aclose()


def clients_of(container: str) -> list[psutil.Process]:
    """The docker clients of this process that stand by a container."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # one that has done its work
            if child.status() != psutil.STATUS_ZOMBIE and container in child.cmdline():
                found.append(child)
    return found
