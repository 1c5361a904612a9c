"""Faults of processes and hosts are undone also where the host has lost its power, or has it back.

The machine is a stand-in; ``tests/integration/chaos/faults/test_hosts.py`` has a real one.
"""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from chaos.faults import crash_loop, programs
from chaos.faults.base import Stage
from chaos.faults.programs import NO_POWER
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Victim
from cluster.errors import ClusterError, HostError
from cluster.substrates.base import HostProcess

VICTIM = Victim(name="db-paris", hosts=("db-paris",))


class StandIn:
    """A substrate, and the cluster on it, that note what is asked of them."""

    def __init__(self, *, power: bool, processes: tuple[HostProcess, ...] = ()) -> None:
        self.power = power
        self.found = processes
        self.running: set[str] = set()
        self.done: list[str] = []
        self.substrate = self

    def has_power(self, _: str) -> bool:
        return self.power

    async def processes(self, _: str) -> tuple[HostProcess, ...]:
        return self.found

    async def signal_processes(self, _: str, pids: tuple[int, ...], number: int) -> None:
        self.done.append(f"signal {number} to {pids}")

    async def signal_all_processes(self, _: str, number: int) -> None:
        self.done.append(f"signal {number} to all")

    async def kill_process(self, host: str, process: str, number: int) -> int:
        if process not in self.running:
            raise HostError(f"{process} does not run on {host}", host=host)
        return 3

    async def start_services(self, host: str, only: str | None = None) -> tuple[str, ...]:
        self.done.append(f"start {only or 'all'} on {host}")
        return ("patroni",)

    async def start_crash_loop(self, host: str, every_s: float, times: int | None) -> None:
        self.done.append(f"crash loop on {host}: {every_s:g} s, {times}")

    async def crashes(self, _: str) -> int:
        return 0

    async def stop_crash_loop(self, host: str) -> None:
        self.done.append(f"no crash loop on {host}")

    async def kill_host(self, host: str) -> None:
        self.done.append(f"no power on {host}")

    async def start_host(self, host: str) -> None:
        self.done.append(f"power on {host}")

    async def wipe_data(self, host: str) -> None:
        raise HostError(f"the data of {host} could not be deleted", host=host)


def act(what: str, fault: str, machine: StandIn, **params: object) -> str:
    kind = FAULTS[fault]

    async def run() -> str:
        stage = Stage(cluster=cast(Any, machine))
        return await getattr(kind, what)(stage, VICTIM, kind.params(**params))

    return anyio.run(run)


@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("process-stop", {}),
        ("process-kill", {"process": "patroni"}),
        ("process-kill", {"process": "etcd"}),
        ("process-crash-loop", {}),
        ("host-freeze", {}),
    ],
)
def test_a_host_without_power_begins_anew(fault: str, params: dict[str, object]) -> None:
    machine = StandIn(power=False)
    assert act("undo", fault, machine, **params) == NO_POWER
    assert machine.done == []


def test_what_runs_again_is_not_started_twice() -> None:
    machine = StandIn(power=True)
    machine.running = {"etcd"}
    assert act("undo", "process-kill", machine, process="etcd") == "etcd runs on db-paris already"
    machine.running = set()
    assert act("undo", "process-kill", machine, process="etcd") == "started etcd on db-paris"
    assert act("undo", "process-kill", machine, process="patroni") == "started patroni on db-paris"
    assert act("undo", "process-kill", machine) == "nothing to undo"
    assert machine.done == ["start etcd on db-paris", "start postgres on db-paris"]


def test_a_wiped_host_that_has_its_power_back_gets_it_once() -> None:
    assert act("undo", "host-wiped", StandIn(power=True)).endswith("has its power back already")
    machine = StandIn(power=False)
    assert act("undo", "host-wiped", machine) == "power on, started patroni"
    assert machine.done == ["power on db-paris", "start all on db-paris"]


def test_a_fault_that_has_no_effect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (programs, crash_loop):
        monkeypatch.setattr(module, "EFFECT_TIMEOUT_S", 0.1)
    for fault, words in (
        ("process-stop", "PostgreSQL does not run on db-paris"),
        ("process-crash-loop", "nothing was killed"),
        ("backend-kill", "no client is connected"),
        ("host-freeze", "not seen on db-paris in 0.1 s: every process stopped"),
        ("host-wiped", "could not be deleted"),
    ):
        with pytest.raises(ClusterError, match=words):
            act("strike", fault, StandIn(power=True))


def test_a_process_that_cannot_be_stopped_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.faults.stop.EFFECT_TIMEOUT_S", 0.1)
    etcd = HostProcess(pid=7, parent=1, state="S", resident_kb=9, command="/usr/bin/etcd --x")
    with pytest.raises(ClusterError, match="do not heed signal 19"):
        act("strike", "process-stop", StandIn(power=True, processes=(etcd,)), process="etcd")
