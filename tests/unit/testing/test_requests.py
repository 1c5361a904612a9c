"""What the lab answers when a request fails, and which faults are undone alone."""

from __future__ import annotations

import json

import anyio
import pytest

from chaos.evidence.decode import encode
from chaos.testing import caretaker as module
from chaos.testing import control
from chaos.testing.caretaker import Caretaker
from chaos.testing.errors import NotHealthyError
from chaos.testing.model import Done, Request

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

    assert anyio.run(control._handle, HEAL, handler) == answer


class Rain:
    """A fault that lasts and bites nobody."""

    lasts = True

    def __init__(self, *, host: str, process: str | None) -> None:
        self.host = host

    async def inject(self, stage: object) -> str:
        return "rains"

    async def heal(self, stage: object) -> str:
        return "dry"


def test_one_fault_is_undone_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAULTS", {"link-cut": Rain, "host-power-cut": Rain})

    async def story() -> None:
        caretaker = Caretaker(None)  # type: ignore[arg-type]
        for fault, host in (("link-cut", "a"), ("link-cut", "b"), ("host-power-cut", "a")):
            await caretaker.do(Request(op="strike", fault=fault, target=host))
        undo = Request(op="undo", fault="link-cut", host="a")
        assert await caretaker.do(undo) == Done(hosts=("a",), detail="link-cut on a: dry")
        assert caretaker._broken_words() == ("link-cut on b", "host-power-cut on a")
        assert await caretaker.do(undo) == Done(hosts=("a",), detail="no link-cut on a")

    anyio.run(story)
