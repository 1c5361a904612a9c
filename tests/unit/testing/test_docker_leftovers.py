"""What is swept, what is not, and what happens while others sweep the same."""

from __future__ import annotations

import socket

import docker.errors
import pytest
import requests.exceptions
from support.fake_docker import FakeEngine, refusal

from chaos.testing import docker_leftovers as leftovers
from chaos.testing.docker_leftovers import remove, sweep, this_process, try_to_sweep
from chaos.testing.errors import StartError
from cluster.processes import this_process as name_of_process

HERE = socket.gethostname()
BOOT, NAMESPACE, PID, BEGAN = name_of_process().split(":")
DEAD = f"{HERE}/{BOOT}:{NAMESPACE}:{PID}:{int(BEGAN) - 1}"
BEFORE_THE_BOOT = f"{HERE}/00000000-0000-0000-0000-000000000000:{NAMESPACE}:{PID}:{BEGAN}"
IN_PROGRESS = "removal of container abc is already in progress"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def names(engine: FakeEngine) -> list[str]:
    return [thing.name for thing in [*engine.containers_there, *engine.networks_there]]


def put(engine: FakeEngine, cluster: str, process: str, status: str = "running") -> None:
    engine.put("container", f"{cluster}-db", process, status=status)
    engine.put("network", f"{cluster}-wan", process)


@pytest.mark.parametrize(
    "process",
    [
        this_process(),
        "",  # kept
        f"elsewhere/{BOOT}:{NAMESPACE}:{PID}:1",
        # Its pid means another process there, or none.
        f"{HERE}/{BOOT}:{int(NAMESPACE) + 1}:{PID}:1",
        BEFORE_THE_BOOT,  # a machine of the same name: its containers run
        "not ours",
    ],
    ids=["this", "kept", "elsewhere", "other namespace", "before the boot", "foreign"],
)
def test_what_may_be_alive_stays(engine: FakeEngine, process: str) -> None:
    put(engine, "c1", process)
    assert sweep(engine) == []  # type: ignore[arg-type]
    assert names(engine) == ["c1-db", "c1-wan"]


@pytest.mark.parametrize(
    ("process", "status"),
    [(DEAD, "running"), (BEFORE_THE_BOOT, "exited")],
    ids=["dead", "before the boot"],
)
def test_what_is_over_goes_and_nothing_else(engine: FakeEngine, process: str, status: str) -> None:
    put(engine, "c1", process, status)
    put(engine, "c2", this_process())
    assert sweep(engine) == ["c1"]  # type: ignore[arg-type]
    assert names(engine) == ["c2-db", "c2-wan"]


def test_every_listing_bears_containers_that_vanish(engine: FakeEngine) -> None:
    put(engine, "c1", DEAD)
    sweep(engine)  # type: ignore[arg-type]
    assert engine.listings
    assert all(options["ignore_removed"] for options in engine.listings)


def test_a_removal_that_another_one_has_begun_is_waited_for(engine: FakeEngine) -> None:
    put(engine, "c1", DEAD)
    container, network = engine.containers_there[0], engine.networks_there[0]
    container.refusals = [refusal(IN_PROGRESS)] * 2
    network.refusals = [refusal("error while removing network: c1-wan has active endpoints")]
    remove(engine, "c1")  # type: ignore[arg-type]
    assert container.calls == ["remove"] * 3
    assert network.calls == ["remove"] * 2
    assert names(engine) == []


def test_what_another_one_has_removed_is_gone(engine: FakeEngine) -> None:
    put(engine, "c1", DEAD)
    container = engine.containers_there[0]
    container.refusals = [docker.errors.NotFound("no such container")]
    engine.on_list = lambda: container.calls and engine.containers_there.clear()
    remove(engine, "c1")  # type: ignore[arg-type]
    assert names(engine) == []


def test_it_does_not_wait_for_ever(engine: FakeEngine) -> None:
    put(engine, "c1", DEAD)
    engine.containers_there[0].refusals = [refusal(IN_PROGRESS)] * 99
    with pytest.raises(StartError, match=r"c1-db: .*already in progress"):
        remove(engine, "c1", timeout_s=0.0)  # type: ignore[arg-type]


def test_another_refusal_is_not_waited_out(engine: FakeEngine) -> None:
    put(engine, "c1", DEAD)
    put(engine, "c2", DEAD)
    engine.containers_there[0].refusals = [refusal("device or resource busy")]
    with pytest.raises(StartError, match=r"c1 could not be removed: [\s\S]*resource busy"):
        sweep(engine)  # type: ignore[arg-type]
    assert names(engine) == ["c1-db", "c1-wan"]


@pytest.mark.parametrize(
    "failure", [refusal("device or resource busy"), requests.exceptions.ConnectionError("reset")]
)
def test_no_start_fails_because_of_what_another_run_has_left(
    engine: FakeEngine, failure: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    put(engine, "c1", DEAD)
    engine.containers_there[0].refusals = [failure]
    try_to_sweep(engine)  # type: ignore[arg-type]
    assert "stays for now" in capsys.readouterr().err


def test_the_labels_name_this_process_unless_it_is_kept() -> None:
    assert leftovers.labels_of("c1", kept=True)[leftovers.PROCESS_LABEL] == ""
    assert leftovers.labels_of("c1", kept=False)[leftovers.PROCESS_LABEL] == this_process()
