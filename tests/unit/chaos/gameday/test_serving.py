"""The thread that serves a cluster ends whenever it is to, also while it boots."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import anyio.abc
import pytest

from chaos.gameday.errors import ClusterInTestsError, NotHealthyError, NotRunningError
from chaos.gameday.serving import ClusterEnd, Serving


class Thing:
    """Something to serve, which says what becomes of it."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def __call__(self, end: ClusterEnd, *, task_status: anyio.abc.TaskStatus[str]) -> None:
        try:
            with end.booting:
                await self.boot()
                self.happened.append("booted")
                task_status.started("ready")
            await end.wait()
        finally:
            self.happened.append("ended")

    async def boot(self) -> None:
        """At once."""


class Hanging(Thing):
    """Gets a Ctrl-C while it boots, and would never be ready."""

    async def boot(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        await anyio.sleep_forever()


class Failing(Thing):
    """Fails in the middle of the boot."""

    async def boot(self) -> None:
        raise ValueError("no")


def test_it_serves_until_its_end() -> None:
    thing = Thing()
    with Serving() as serving:
        assert serving.start(thing, str) == "ready"
        assert thing.happened == ["booted"]
    assert thing.happened == ["booted", "ended"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts, also where this process was started with it ignored (a shell's ``&``)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_it_boots_ends_it() -> None:
    """It used to be waited for, for ever, when the stack was closed without the interrupt."""
    thing = Hanging()
    running = ExitStack()
    serving = running.enter_context(Serving())
    with pytest.raises(KeyboardInterrupt):
        serving.start(thing, str)
    running.close()
    assert thing.happened == ["ended"]


def test_a_boot_that_fails_is_told_once() -> None:
    thing = Failing()
    with Serving() as serving, pytest.raises(ValueError, match="no"):
        serving.start(thing, str)
    assert thing.happened == ["ended"]


async def answer(what: str) -> str:
    if what == "fail":
        raise ValueError(what)
    if what == "hang":
        await anyio.sleep_forever()
    return what


def test_calls_into_the_thread() -> None:
    with Serving() as serving:
        serving.start(Thing(), str)
        assert serving.do("look", answer, "well", timeout_s=5.0) == "well"
        with pytest.raises(ValueError, match="fail"):
            serving.do("look", answer, "fail", timeout_s=5.0)
        with pytest.raises(NotHealthyError, match="heal took longer"):
            serving.do("heal", answer, "hang", timeout_s=0.01)
    with pytest.raises(NotRunningError, match="stopped before look"):
        serving.do("look", answer, "well", timeout_s=5.0)


def test_what_failed_while_it_served_is_told_at_the_end() -> None:
    class Breaking(Thing):
        async def __call__(
            self, end: ClusterEnd, *, task_status: anyio.abc.TaskStatus[str]
        ) -> None:
            task_status.started("ready")
            raise ExceptionGroup("unhandled errors in a TaskGroup", [OSError("the door broke")])

    with (
        pytest.raises(ClusterInTestsError, match="has failed: the door broke"),
        Serving() as serving,
    ):
        serving.start(Breaking(), str)
