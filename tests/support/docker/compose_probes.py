"""Two clients' hosts in containers, one that serves and one that speaks to it all the time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from cluster.substrates.base import Process
from cluster.substrates.docker.hosts import ContainerHosts
from cluster.substrates.docker.project import PYTHON

PORT = 7000
DEADLINE_S = 60.0
SERVER, CLIENT = "app-paris", "app-orsay"

ECHO = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    while data := client.recv(4096):
        client.sendall(data)
"""
SPEAK = """
import json, socket, sys, time
def say(**what): print(json.dumps({"t_s": time.monotonic(), **what}), flush=True)
while True:
    try:
        peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.5)
        break
    except OSError:
        time.sleep(0.05)
say(event="connected")
asked = heard = 0
while True:
    try:
        if asked == heard:
            peer.sendall(b"x")
            asked += 1
        answer = peer.recv(1)
    except TimeoutError:
        say(event="silence", asked=asked)
        continue
    except OSError as error:
        say(event="told", error=str(error))
        break
    if not answer:
        say(event="told", error="closed")
        break
    heard += 1
    say(event="echo", asked=asked)
    time.sleep(0.02)
while True:
    time.sleep(1)
"""
"""Sends a byte and waits for it to come back, for ever on one connection; writes down what it
hears, silence too."""


class Conversation:
    """What the client has heard."""

    def __init__(self, sites: ContainerHosts, log: Path) -> None:
        self.sites = sites
        self._log = log

    def heard(self, event: str, since: int = 0) -> list[dict[str, object]]:
        """The lines of one kind from line ``since`` on."""
        found = map(json.loads, self._lines()[since:])
        return [line for line in found if line["event"] == event]

    def _lines(self) -> list[str]:
        """Without a last one that is being written."""
        return self._log.read_text().rpartition("\n")[0].splitlines()

    @property
    def length(self) -> int:
        """How many lines there are by now."""
        return len(self._lines())

    async def wait(self, event: str, *, more: int = 3) -> None:
        """Wait until so many more of a kind are heard, and nothing was told meanwhile."""
        since = self.length
        with anyio.fail_after(DEADLINE_S):
            while len(self.heard(event, since)) < more:
                assert not self.heard("told"), self.heard("told")
                await anyio.sleep(0.05)

    async def wait_told(self) -> None:
        """Wait until the client knows that its connection is no more."""
        with anyio.fail_after(DEADLINE_S):
            while not self.heard("told"):
                await anyio.sleep(0.05)


@asynccontextmanager
async def conversation(sites: ContainerHosts, folder: Path) -> AsyncIterator[Conversation]:
    """Server and client are up, and speak."""
    await sites.start_unit(SERVER, Process(name="echo", argv=(PYTHON, "-c", ECHO, str(PORT))))
    await sites.start_unit(
        CLIENT, Process(name="speak", argv=(PYTHON, "-c", SPEAK, SERVER, str(PORT)))
    )
    talk = Conversation(sites, folder / "logs" / f"{CLIENT}.speak.log")
    await talk.wait("echo")
    yield talk
