"""Small experiments in a real lab, without PostgreSQL: ``python -m support.lab_probes NAME DIR``.

Run sealed by ``tests/integration/test_lab_faults.py``, one fresh lab each. A probe asserts; its
exit code is the answer.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from cluster.errors import HostError
from cluster.lab.console import open_console, socket_in
from cluster.lab.lab import Lab
from cluster.lab.network import run
from cluster.substrate import Unit, UnitExit
from cluster.topology.load import load_builtin

PORT = 7000
DEADLINE_S = 10.0
SILENCE_S = 1.0
"""Long enough for a FIN, a RST or an ICMP error to arrive on a network without delay."""

A, B = "db-paris", "db-orsay"

ECHO = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    while data := client.recv(4096):
        client.sendall(data)
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


def echo_unit(marker: str = "echo") -> Unit:
    """An echo server whose command line has a marker to find it by."""
    return Unit(name="echo", argv=(sys.executable, "-c", ECHO, str(PORT), marker))


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


async def power_cut(lab: Lab, exits: list[UnitExit]) -> None:
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


async def link_cut(lab: Lab, exits: list[UnitExit]) -> None:
    """A cut link is silence; the console still works; a healed one carries the same connection."""
    await lab.start_unit(A, echo_unit())
    await wait_echo(lab, A)
    peer = client(B, lab.address(A))
    assert echoes(peer, b"before")
    await lab.cut_link(A)
    assert is_silent(peer)
    with pytest.raises(OSError, match=r"timed out|No route|unreachable"):
        client(B, lab.address(A), timeout_s=SILENCE_S)
    console = await open_console(A, PORT)
    await console.aclose()
    await lab.heal_link(A)
    # TCP sends again what was lost: the connection lives on.
    peer.settimeout(DEADLINE_S)
    assert peer.recv(4096) == b"anybody?"
    assert echoes(peer, b"after")
    assert not exits


async def process_kill(lab: Lab, exits: list[UnitExit]) -> None:
    """SIGKILL ends that process and no other; an unexpected death is reported as one."""
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
    assert (exits[0].host, exits[0].status, exits[0].expected) == (A, -9, False)


async def process_stop(lab: Lab, exits: list[UnitExit]) -> None:
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


async def sealed(lab: Lab, exits: list[UnitExit]) -> None:
    """No interface leads out, and a host that looks for the outside is told so at once."""
    links = await run(["ip", "-o", "link"])
    assert [line.split(": ")[1] for line in links.splitlines()] == ["lo"], links
    begin_s = time.monotonic()
    outside = socket_in(A)
    outside.settimeout(DEADLINE_S)
    with pytest.raises(OSError, match="unreachable"):
        outside.connect(("192.0.2.1", 80))  # TEST-NET-1, RFC 5737: nobody is there
    assert time.monotonic() - begin_s < 1.0


async def every_path(lab: Lab, exits: list[UnitExit]) -> None:
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


async def unprivileged(lab: Lab, exits: list[UnitExit]) -> None:
    """A unit is uid 1000 to itself, sees only its own host, and none of our environment."""
    script = (
        "import os, json; print(json.dumps([os.getuid(), os.uname().nodename,"
        " sorted(os.environ), len([p for p in os.listdir('/proc') if p.isdigit()])]))"
    )
    unit = Unit(name="look", argv=(sys.executable, "-c", script), secrets={"SECRET_WORD": "x"})
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


async def no_such_program(lab: Lab, exits: list[UnitExit]) -> None:
    """A unit that cannot be started ends at once, with the reason in its log."""
    await lab.start_unit(A, Unit(name="ghost", argv=("/nonexistent/program",)))
    assert await lab.wait_unit(A, "ghost") != 0
    assert "/nonexistent/program" in (Path(sys.argv[2]) / f"{A}.ghost.log").read_text()


PROBES: dict[str, Callable[[Lab, list[UnitExit]], Awaitable[None]]] = {
    probe.__name__: probe
    for probe in (
        power_cut,
        link_cut,
        process_kill,
        process_stop,
        sealed,
        every_path,
        unprivileged,
        no_such_program,
    )
}


async def main(name: str, logs: Path) -> None:
    exits: list[UnitExit] = []
    async with Lab(load_builtin("three-sites"), logs=logs, on_exit=exits.append) as lab:
        await PROBES[name](lab, exits)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]))
