"""What the lab answers when a request fails, and which faults are undone alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import anyio
import pytest

from chaos.decode import encode
from chaos.faults.registry import FAULTS
from chaos.gameday import channel
from chaos.gameday.errors import NotHealthyError
from chaos.gameday.operator import Caretaker
from chaos.gameday.requests import Done, Request
from cluster.topology.load import find_topology
from cluster.topology.model import Host, Site, Topology

HEAL = json.dumps(encode(Request(op="heal"))).encode()


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NotHealthyError("no primary"), {"failed": "NotHealthyError", "words": "no primary"}),
        (
            ExceptionGroup("a", [OSError("one"), ExceptionGroup("b", [OSError("two")])]),
            {"failed": "ExceptionGroup", "words": "one\ntwo"},
        ),
        (KeyError("db-lyon"), {"failed": "KeyError", "words": "'db-lyon'"}),
    ],
)
def test_a_request_that_fails_is_answered_and_the_lab_goes_on(
    error: Exception, answer: object
) -> None:
    async def handler(request: Request) -> object:
        raise error

    assert anyio.run(channel._handle, HEAL, handler) == answer


@dataclass(frozen=True, slots=True)
class Cluster:
    """As far as a fault that bites nobody asks."""

    substrate: Substrate


@dataclass(frozen=True, slots=True)
class Substrate:
    """Only its hosts."""

    topology: Topology


async def rains(*_: object) -> str:
    return "rains"


async def dry(*_: object) -> str:
    return "dry"


def test_one_fault_is_undone_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("link-cut", "host-power-cut"):
        monkeypatch.setitem(FAULTS, key, replace(FAULTS[key], strike=rains, undo=dry))
    roles = ("postgres",)
    site = Site(name="s", hosts=tuple(Host(name=name, roles=roles) for name in "ab"))
    topology = replace(find_topology("three-sites"), sites=(site,))

    async def story() -> None:
        caretaker = Caretaker(Cluster(Substrate(topology)))  # type: ignore[arg-type]
        for fault, host in (("link-cut", "a"), ("link-cut", "b"), ("host-power-cut", "a")):
            await caretaker.do(Request(op="strike", fault=fault, target=host))
        undo = Request(op="undo", fault="link-cut", host="a")
        assert await caretaker.do(undo) == Done(hosts=("a",), detail="link-cut on a: dry")
        assert caretaker._broken_words() == ("link-cut on b", "host-power-cut on a")
        assert await caretaker.do(undo) == Done(hosts=("a",), detail="no link-cut on a")

    anyio.run(story)
