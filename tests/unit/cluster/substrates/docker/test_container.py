"""A container is what the engine says of it; a client that ends says nothing of that."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from support.docker.docker_client import FakeClient

from cluster.errors import EngineError
from cluster.substrates.base import ProcessExit
from cluster.substrates.docker import container
from cluster.substrates.docker.container import Container

pytestmark = pytest.mark.anyio

DEADLINE_S = 20.0
ENGINE = r"""
case "$1" in
    start) echo true 0 again >"$here/state.new"; mv "$here/state.new" "$here/state" ;;
    attach) ;;
    inspect)
        test -e "$here/words" && { cat "$here/words" >&2; exit 1; }
        read -r running status began <"$here/state"
        case "$3" in
            *.ExitCode*) echo $running $status $began ;;
            *.Running*) echo $running $began ;;
            *) echo $began ;;
        esac
        exit 0 ;;
esac
echo "output of $1"
echo $$ >"$here/pid.new"
mv "$here/pid.new" "$here/$1"
exec sleep 60
"""
"""An engine with one container, in the file ``state``: whether it runs, its status, and when it was
started. A client that attaches leaves its pid in a file. ``words``: the engine fails so."""


class Ground:
    """A container and what is told of it."""

    def __init__(self, folder: Path) -> None:
        self.client = FakeClient(folder / "bin", ENGINE)
        self.exits: list[ProcessExit] = []
        self.log = folder / "log"
        self.container = Container("c", host="h", unit="u", log=self.log, on_exit=self.exits.append)
        self.say("false 0 never")

    def say(self, state: str) -> None:
        """How the container is from now on."""
        self._write("state", state)

    def fail(self, words: str) -> None:
        """The engine fails from now on, with these words."""
        self._write("words", words)

    def _write(self, name: str, line: str) -> None:
        """At once: a client may look at any moment."""
        new = self.client.folder / f"{name}.new"
        new.write_text(f"{line}\n")
        new.rename(self.client.folder / name)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """It is started, and its client stands by; on the way out it has ended.

        Abandoned in any case: who stands by is shielded, and would hold up a test that fails.
        """
        async with anyio.create_task_group() as tasks:
            try:
                await self.container.start(tasks)
                await self.attached("start")
                yield
                with anyio.fail_after(DEADLINE_S):
                    await self.container.wait()
            finally:
                self.container.abandon()

    async def attached(self, what: str) -> int:
        """The pid of the client that does ``what``, once it does."""
        path = self.client.folder / what
        with anyio.fail_after(DEADLINE_S):
            while not path.exists():
                await anyio.sleep(0.01)
        return int(path.read_text())

    async def end(self, what: str) -> None:
        """The client that does ``what`` ends, as when the kernel is short of memory."""
        os.kill(await self.attached(what), signal.SIGKILL)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    made = Ground(tmp_path)
    made.client.use(monkeypatch)
    return made


async def test_the_end_of_a_client_is_no_end_and_the_later_one_is_told(ground: Ground) -> None:
    async with ground.started():
        await ground.end("start")
        await ground.attached("attach")
        assert ground.exits == []
        assert ground.container.is_up
        ground.say("false 3 again")
        await ground.end("attach")
        with anyio.fail_after(DEADLINE_S):
            assert await ground.container.wait() == 3
    assert [(end.status, end.expected) for end in ground.exits] == [(3, False)]
    assert ground.log.read_text() == "output of start\noutput of attach\n"


async def test_the_engines_status_counts_and_not_the_clients(ground: Ground) -> None:
    async with ground.started():
        ground.say("false 137 again")
        await ground.end("start")
    assert [end.status for end in ground.exits] == [-signal.SIGKILL]


async def test_of_a_container_that_was_removed_the_clients_status_counts(ground: Ground) -> None:
    async with ground.started():
        ground.fail("Error: No such object: c")
        await ground.end("start")
    assert [end.status for end in ground.exits] == [-signal.SIGKILL]


async def test_an_engine_that_answers_again_is_asked_again(ground: Ground) -> None:
    words = ground.client.folder / "words"
    async with ground.started():
        ground.fail("Cannot connect to the Docker daemon")
        before = len(ground.client.calls)
        await ground.end("start")
        with anyio.fail_after(DEADLINE_S):
            while len(ground.client.calls) < before + 2:
                await anyio.sleep(0.01)
        words.unlink()
        await ground.attached("attach")
        assert ground.exits == []
        ground.say("false 0 again")
        await ground.end("attach")
    assert [end.status for end in ground.exits] == [0]


async def test_an_engine_that_does_not_answer_is_an_error_and_no_end(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "ENGINE_TIMEOUT_S", 0.1)

    async def run() -> None:
        async with ground.started():
            ground.fail("dial: connect: no such file")
            await ground.end("start")
            await anyio.sleep(DEADLINE_S)

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(EngineError, match="no such file")
    assert ground.exits == []


async def test_one_that_is_abandoned_holds_nobody_up(ground: Ground) -> None:
    with anyio.fail_after(DEADLINE_S):
        async with ground.started():
            ground.container.abandon()
    assert not ground.container.is_up
    assert ground.exits == []
