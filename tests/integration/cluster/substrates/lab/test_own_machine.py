"""The look at what is left behind finds each kind of it: who leaves something is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from support.lab.own_machine import OwnMachine

IPC_CREAT = 0o1000
SYSTEM_V = (
    f"import ctypes; libc = ctypes.CDLL(None); assert libc.{{}}({{}}, {IPC_CREAT | 0o600}) >= 0"
)
LISTENER = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    os.setsid()
    os.close(1)
    sys.stdin.read()
"""
UNIX_SOCKET = LISTENER.replace(
    'socket.create_server(("127.0.0.1", 0))',
    'socket.socket(socket.AF_UNIX); server.bind("\\0left")',
)
PYTHON = (sys.executable, "-c")

LEAVING = {
    "temporary": ("touch", "/tmp/left"),
    "shared_memory": ("touch", "/dev/shm/PostgreSQL.1234"),
    "system_v shm": (*PYTHON, SYSTEM_V.format("shmget", "4711, 4096")),
    "system_v sem": (*PYTHON, SYSTEM_V.format("semget", "4711, 1")),
    "system_v msg": (*PYTHON, SYSTEM_V.format("msgget", "4711")),
    "mounts": ("mount", "-t", "tmpfs", "tmpfs", "/mnt"),
    "namespaces": ("ip", "netns", "add", "left"),
    "interfaces": ("ip", "link", "add", "name", "left0", "type", "veth", "peer", "name", "left1"),
    "sockets tcp": (*PYTHON, LISTENER),
    "sockets unix": (*PYTHON, UNIX_SOCKET),
}


@pytest.mark.parametrize("kind", LEAVING)
def test_what_is_left_is_noticed(machine: OwnMachine, kind: str) -> None:
    before = machine.surroundings()
    assert machine.surroundings() == before
    holding = subprocess.Popen([*machine.enter, *LEAVING[kind]], stdin=subprocess.PIPE)
    assert holding.wait() == 0
    after = machine.surroundings()
    with holding:  # what still reads from it ends
        pass
    field = kind.partition(" ")[0]
    changed = {name for name, seen in asdict(after).items() if seen != asdict(before)[name]}
    # ``ip netns`` mounts each name that it keeps.
    assert changed == ({field, "mounts"} if field == "namespaces" else {field})


def test_a_cgroup_is_noticed(machine: OwnMachine) -> None:
    before = machine.surroundings()
    left = _make_cgroup(before.cgroups)
    if left is None:
        pytest.skip("this user may make no cgroup")
    try:
        assert set(machine.surroundings().cgroups) - set(before.cgroups) == {str(left)}
    finally:
        left.rmdir()


def _make_cgroup(own: list[str]) -> Path | None:
    """One below a cgroup of our own; None where the kernel refuses all."""
    for folder in own:
        left = Path(folder) / f"bascule-left-{os.getpid()}"
        with suppress(OSError):
            left.mkdir()
            return left
    return None
