"""Small experiments in a real lab, without PostgreSQL: ``python -m support.lab.lab_probes NAME
DIR``.

Run sealed by ``tests/integration/cluster/substrates/lab/test_faults.py``, one fresh lab each. A
probe asserts; its exit code is the answer.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import pytest

from cluster.errors import HostError
from cluster.substrates.base import Process, ProcessExit
from cluster.substrates.lab.console import open_console, socket_in
from cluster.substrates.lab.lab import Lab
from cluster.substrates.lab.network import run
from cluster.topology.load import load_builtin

PORT = 7000
DEADLINE_S = 10.0
SILENCE_S = 1.0
"""Long enough for a FIN, a RST or an ICMP error to arrive on a network without delay."""

CUT_SILENCE_S = 4.0
"""A kernel that finds no neighbour says so after 3 s (``mcast_solicit`` times 1 s, arp(7))."""
IP_RECVERR = 11
"""ip(7): tells a TCP socket of every ICMP error at once, also of those that TCP rides out."""

A, B = "db-paris", "db-orsay"
NEIGHBOUR = "dcs-paris"
"""In the site of A, where B is in another."""

ECHO = """
import select, socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
sockets = [server]
while True:
    for ready in select.select(sockets, [], [])[0]:
        if ready is server:
            sockets.append(server.accept()[0])
        else:
            try:
                data = ready.recv(4096)
                ready.sendall(data)
            except OSError:  # the other side gave up: the server goes on
                data = b""
            if not data:
                sockets.remove(ready)
"""


def client(host: str, address: str, *, timeout_s: float = DEADLINE_S) -> socket.socket:
    """A TCP connection from ``host`` to the echo server at ``address``."""
    connection = socket_in(host)
    connection.settimeout(timeout_s)
    connection.connect((address, PORT))
    return connection


def echoes(connection: socket.socket, text: bytes) -> bool:
    """The other side answers."""
    connection.settimeout(DEADLINE_S)
    connection.sendall(text)
    return connection.recv(4096) == text


def is_silent(connection: socket.socket) -> bool:
    """Nothing comes back, not even the end of the connection."""
    connection.settimeout(SILENCE_S)
    try:
        connection.sendall(b"anybody?")
        connection.recv(4096)
    except TimeoutError:
        return True
    return False


class Silence:
    """Connections over a path that is to be cut: some stand already, the others are tried then.

    Args:
        paths: from which host to which; an echo server runs on every host that is named second.
    """

    def __init__(self, lab: Lab, paths: Sequence[tuple[str, str]]) -> None:
        self._lab = lab
        self._paths = paths
        self._standing = {path: client(path[0], lab.address(path[1])) for path in paths}
        for path, connection in self._standing.items():
            assert echoes(connection, b"before"), path
            connection.setsockopt(socket.SOL_IP, IP_RECVERR, 1)

    @property
    def standing(self) -> list[socket.socket]:
        """The connections that stand since before the cut."""
        return list(self._standing.values())

    def is_kept(self) -> None:
        """Now that the paths are cut: nobody hears anything for ``CUT_SILENCE_S``, no answer, no
        RST, no ICMP error, neither who is connected nor who connects."""
        waiting: dict[int, tuple[str, socket.socket]] = {}
        poll = select.poll()
        for (source, target), connection in self._standing.items():
            connection.sendall(b"anybody?")
            waiting[connection.fileno()] = f"connected, {source} to {target}", connection
            poll.register(connection, select.POLLIN)
        for source, target in self._paths:
            new = socket_in(source)
            new.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
            begun = new.connect_ex((self._lab.address(target), PORT))
            assert begun == errno.EINPROGRESS, f"{source} to {target}: {os.strerror(begun)}"
            waiting[new.fileno()] = f"connecting, {source} to {target}", new
            poll.register(new, select.POLLIN | select.POLLOUT)
        begin_s = time.monotonic()
        told = poll.poll(CUT_SILENCE_S * 1000)
        after_s = time.monotonic() - begin_s
        words = []
        for number, _ in told:
            what, connection = waiting[number]
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            words.append(f"{what}: {os.strerror(error)} after {after_s:.1f} s")
        assert not told, words

    def is_over(self) -> None:
        """Now that the paths are healed: the connections go on, with what was sent meanwhile, and
        new ones are made."""
        for path, connection in self._standing.items():
            connection.settimeout(DEADLINE_S)
            assert connection.recv(4096) == b"anybody?", path
            assert echoes(connection, b"after"), path
        for source, target in self._paths:
            assert echoes(client(source, self._lab.address(target)), b"new"), (source, target)


def both_ways(one: str, *others: str) -> list[tuple[str, str]]:
    """Every path between one host and others."""
    return [path for other in others for path in ((other, one), (one, other))]


def echo_unit(marker: str = "echo") -> Process:
    """An echo server whose command line has a marker to find it by."""
    return Process(name="echo", argv=(sys.executable, "-c", ECHO, str(PORT), marker))


def marked(marker: str) -> list[int]:
    """The pids, in the lab, of processes with the marker on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if marker.encode() in words:
            found.append(int(path.parent.name))
    return found


async def wait_echo(lab: Lab, host: str) -> None:
    """The echo server listens."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                stream = await open_console(host, PORT)
            except OSError:
                await anyio.sleep(0.02)
            else:
                await stream.aclose()
                return


async def power_cut(lab: Lab, exits: list[ProcessExit]) -> None:
    """Everything on the host dies at once, nobody is told, and it comes back with its disk."""
    await lab.start_unit(A, echo_unit("power-cut"))
    await wait_echo(lab, A)
    (lab.data_folder(A) / "kept").write_text("on the disk")
    peer = client(B, lab.address(A))
    assert echoes(peer, b"before")
    assert marked("power-cut")
    begin_s = time.monotonic()
    await lab.kill_host(A)
    assert time.monotonic() - begin_s < 2.0
    assert not marked("power-cut"), "a process outlived its host"
    assert is_silent(peer), "the dying host told its peer"
    with anyio.fail_after(DEADLINE_S):
        while not exits:
            await anyio.sleep(0.02)
    assert [(end.unit, end.status, end.expected) for end in exits] == [("echo", -9, True)]
    with pytest.raises(HostError, match="down"):
        await lab.start_unit(A, echo_unit())
    await lab.start_host(A)
    assert (lab.data_folder(A) / "kept").read_text() == "on the disk"
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    assert echoes(client(B, lab.address(A)), b"after")


async def link_cut(lab: Lab, exits: list[ProcessExit]) -> None:
    """A cut link is silence; the console still works; a healed one carries the same connection."""
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    peer = client(B, lab.address(A))
    assert echoes(peer, b"before")
    await lab.cut_link(A)
    assert is_silent(peer)
    with pytest.raises(OSError, match="timed out"):
        client(B, lab.address(A), timeout_s=SILENCE_S)
    console = await open_console(A, PORT)
    await console.aclose()
    await lab.heal_link(A)
    # TCP sends again what was lost: the connection lives on.
    peer.settimeout(DEADLINE_S)
    assert peer.recv(4096) == b"anybody?"
    assert echoes(peer, b"after")
    assert not exits


async def silent_power_cut(lab: Lab, exits: list[ProcessExit]) -> None:
    """A dead host is silence, to its own site and to the others, for as long as it is dead."""
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    silence = Silence(lab, [(NEIGHBOUR, A), (B, A)])
    await lab.kill_host(A)
    silence.is_kept()
    await lab.start_host(A)
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    for host in (NEIGHBOUR, B):
        assert echoes(client(host, lab.address(A)), b"after")


async def silent_link_cut(lab: Lab, exits: list[ProcessExit]) -> None:
    """A pulled cable is silence on both its ends, as long as it is pulled; then all goes on."""
    hosts = (A, B, NEIGHBOUR)
    for host in hosts:
        await lab.start_unit(host, echo_unit())
        await wait_echo(lab, host)
    silence = Silence(lab, both_ways(A, B, NEIGHBOUR))
    await lab.cut_link(A)
    silence.is_kept()
    await lab.heal_link(A)
    silence.is_over()
    assert not exits


async def silent_site_cut(lab: Lab, exits: list[ProcessExit]) -> None:
    """A site that is cut off is silence to the others, and they to it; within it all goes on."""
    hosts = (A, B, NEIGHBOUR)
    for host in hosts:
        await lab.start_unit(host, echo_unit())
        await wait_echo(lab, host)
    silence = Silence(lab, [*both_ways(A, B), *both_ways(NEIGHBOUR, B)])
    within = client(NEIGHBOUR, lab.address(A))
    await lab.cut_site("paris")
    silence.is_kept()
    assert echoes(within, b"still here")
    await lab.heal_site("paris")
    silence.is_over()
    assert not exits


async def process_kill(lab: Lab, exits: list[ProcessExit]) -> None:
    """SIGKILL ends that process and no other; it is no unexpected death, but that of a process
    which somebody else kills is one."""
    await lab.start_unit(A, echo_unit("victim"))
    await lab.start_unit(B, echo_unit("bystander"))
    await wait_echo(lab, A)
    await wait_echo(lab, B)
    await lab.kill_process(A, "echo", signal.SIGKILL)
    assert not marked("victim")
    assert marked("bystander")
    with anyio.fail_after(DEADLINE_S):
        while not exits:
            await anyio.sleep(0.01)
    assert (exits[0].host, exits[0].status, exits[0].expected) == (A, -9, True)
    with pytest.raises(HostError, match="echo does not run on db-paris"):
        await lab.kill_process(A, "echo", signal.SIGKILL)
    for pid in marked("bystander"):
        os.kill(pid, signal.SIGKILL)
    with anyio.fail_after(DEADLINE_S):
        while len(exits) < 2:
            await anyio.sleep(0.01)
    assert (exits[1].host, exits[1].status, exits[1].expected) == (B, -9, False)


async def freeze(lab: Lab, exits: list[ProcessExit]) -> None:
    """A host of which everything is stopped is silent, and its init answers all the same."""
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    peer = client(B, lab.address(A))
    assert echoes(peer, b"before")
    await lab.signal_all_processes(A, signal.SIGSTOP)
    with anyio.fail_after(DEADLINE_S):  # a process stops when it is scheduled next
        while [one.state for one in await lab.processes(A)] != ["T"]:
            await anyio.sleep(0.01)
    assert is_silent(peer)
    await lab.signal_all_processes(A, signal.SIGCONT)
    peer.settimeout(DEADLINE_S)
    assert peer.recv(4096) == b"anybody?"
    [echo] = await lab.processes(A)
    assert (echo.state, echo.parent) == ("S", 1)
    assert echo.command.endswith(" 7000 echo")
    assert echo.resident_kb > 1000
    # A host without power has no processes; one that has, and no unit, has none but its init.
    assert await lab.processes(B) == ()
    assert lab.has_power(B)
    await lab.signal_all_processes(A, signal.SIGSTOP)
    await lab.kill_host(A)
    assert not lab.has_power(A)
    assert await lab.processes(A) == ()
    with pytest.raises(HostError, match="down"):
        await lab.signal_all_processes(A, signal.SIGCONT)
    assert all(end.expected for end in exits)


async def process_stop(lab: Lab, exits: list[ProcessExit]) -> None:
    """A stopped process keeps its connections and says nothing; continued, it answers."""
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    peer = client(B, lab.address(A))
    assert echoes(peer, b"before")
    await lab.kill_process(A, "echo", signal.SIGSTOP)
    assert is_silent(peer)
    await lab.kill_process(A, "echo", signal.SIGCONT)
    peer.settimeout(DEADLINE_S)
    assert peer.recv(4096) == b"anybody?"
    assert not exits


async def sealed(lab: Lab, exits: list[ProcessExit]) -> None:
    """No interface leads out, and a host that looks for the outside is told so at once."""
    links = await run(["ip", "-o", "link"])
    assert [line.split(": ")[1] for line in links.splitlines()] == ["lo"], links
    begin_s = time.monotonic()
    outside = socket_in(A)
    outside.settimeout(DEADLINE_S)
    with pytest.raises(OSError, match="unreachable"):
        outside.connect(("192.0.2.1", 80))  # TEST-NET-1, RFC 5737: nobody is there
    assert time.monotonic() - begin_s < 1.0


async def every_path(lab: Lab, exits: list[ProcessExit]) -> None:
    """Every host reaches every other at once: no packet is lost while the network is new."""
    hosts = [host.name for host in lab.topology.hosts]
    for host in hosts:
        await lab.start_unit(host, echo_unit())
        await wait_echo(lab, host)
    for one in hosts:
        for other in hosts:
            begin_s = time.monotonic()
            assert echoes(client(one, lab.address(other)), b"hello")
            took_s = time.monotonic() - begin_s
            assert took_s < 0.9, f"{one} to {other}: a SYN was lost ({took_s:.2f} s)"


async def unprivileged(lab: Lab, exits: list[ProcessExit]) -> None:
    """A unit is uid 1000 to itself, sees only its own host, and none of our environment."""
    script = (
        "import os, json; print(json.dumps([os.getuid(), os.uname().nodename,"
        " sorted(os.environ), len([p for p in os.listdir('/proc') if p.isdigit()])]))"
    )
    unit = Process(name="look", argv=(sys.executable, "-c", script), secrets={"SECRET_WORD": "x"})
    await lab.start_unit(A, unit)
    assert await lab.wait_unit(A, "look") == 0
    log = Path(sys.argv[2]) / f"{A}.look.log"
    text = log.read_text()
    uid, name, environment, processes = json.loads(text)
    assert uid == 1000
    assert name == A
    assert "SECRET_WORD" in environment
    assert "BASCULE_TEST_CANARY" not in environment
    assert processes <= 3
    assert exits[0].expected


LEAVE = """
import ctypes, pathlib
pathlib.Path("/dev/shm/PostgreSQL.1234").write_text("shared memory of a killed server")
libc = ctypes.CDLL(None)
assert libc.shmget(4711, 4096, 0o1600) >= 0 and libc.semget(4711, 1, 0o1600) >= 0
"""
LOOK = """
import os
from pathlib import Path
print(os.listdir("/dev/shm"))
print([len(Path("/proc/sysvipc", kind).read_text().splitlines()) - 1 for kind in ("shm", "sem")])
"""


async def shared_memory(lab: Lab, exits: list[ProcessExit]) -> None:
    """What a process leaves in shared memory is its host's alone, and goes with the power."""

    async def run_python(host: str, name: str, script: str) -> str:
        await lab.start_unit(host, Process(name=name, argv=(sys.executable, "-c", script)))
        log = Path(sys.argv[2]) / f"{host}.{name}.log"
        assert await lab.wait_unit(host, name) == 0, log.read_text()
        return log.read_text()

    nothing = "[]\n[0, 0]\n"
    assert await run_python(A, "before", LOOK) == nothing
    await run_python(A, "leave", LEAVE)
    assert await run_python(A, "after", LOOK) == "['PostgreSQL.1234']\n[1, 1]\n"
    assert await run_python(B, "elsewhere", LOOK) == nothing
    assert os.listdir("/dev/shm") == []
    await lab.kill_host(A)
    await lab.start_host(A)
    assert await run_python(A, "again", LOOK) == nothing


async def no_such_program(lab: Lab, exits: list[ProcessExit]) -> None:
    """A unit that cannot be started ends at once, with the reason in its log."""
    await lab.start_unit(A, Process(name="ghost", argv=("/nonexistent/program",)))
    assert await lab.wait_unit(A, "ghost") != 0
    assert "/nonexistent/program" in (Path(sys.argv[2]) / f"{A}.ghost.log").read_text()


async def fed_later(lab: Lab, exits: list[ProcessExit]) -> None:
    """A process waits for its standard input, has all of it, and has it once; one that ended
    before has none."""
    script = "import sys; sys.exit(0 if sys.stdin.read() == 'the config' else 3)"
    unit = Process(name="fed", argv=(lab.python, "-c", script), is_fed=True)
    await lab.start_unit(A, unit)
    await lab.start_unit(B, unit)  # a second one, whose input stays open meanwhile
    with anyio.move_on_after(SILENCE_S):
        await lab.wait_unit(A, "fed")
    assert not exits, "it did not wait"
    await lab.feed_unit(A, "fed", "the config")
    assert await lab.wait_unit(A, "fed") == 0
    with pytest.raises(HostError, match="feed fed on db-paris"):
        await lab.feed_unit(A, "fed", "again")
    await lab.stop_unit(B, "fed", timeout_s=DEADLINE_S)
    with pytest.raises(HostError, match="feed fed on db-orsay"):
        await lab.feed_unit(B, "fed", "the config")


PROBES: dict[str, Callable[[Lab, list[ProcessExit]], Awaitable[None]]] = {
    probe.__name__: probe
    for probe in (
        power_cut,
        link_cut,
        silent_power_cut,
        silent_link_cut,
        silent_site_cut,
        process_kill,
        freeze,
        process_stop,
        sealed,
        every_path,
        unprivileged,
        shared_memory,
        no_such_program,
        fed_later,
    )
}


async def main(name: str, logs: Path) -> None:
    exits: list[ProcessExit] = []
    async with Lab(load_builtin("three-sites"), logs=logs, on_exit=exits.append) as lab:
        await PROBES[name](lab, exits)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]))
