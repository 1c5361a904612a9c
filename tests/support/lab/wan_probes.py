"""Links between sites in real labs, without PostgreSQL: ``python -m support.lab.wan_probes NAME
DIR``.

Run sealed by ``tests/integration/cluster/substrates/lab/test_wan.py``. What a link does is seen by
TCP between hosts, apart from the measure that the lab takes itself. Only lower bounds are strict: a
busy machine makes everything later, and nothing earlier.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import cast

import anyio
import pytest
from support.lab.lab_probes import DEADLINE_S, ECHO, PORT, client

from chaos.faults.base import Stage
from chaos.faults.link_slow import LINK_SLOW, LinkSlowParams
from chaos.faults.targets import Victim, layout_of, parse_target, resolve
from cluster.raised import RaisedCluster
from cluster.services import Services
from cluster.substrates.base import Process, ProcessExit
from cluster.substrates.lab.console import open_console, socket_in
from cluster.substrates.lab.lab import Lab
from cluster.substrates.lab.wan import BRIDGE, RELAY, UNIT
from cluster.topology.load import load_builtin
from cluster.topology.wan import PLAIN, LinkQuality

TRIES = 7
LINK = ("paris", "orsay")
OTHER = ("paris", "saint-cloud")
SINK = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass
    connection.close()
"""
SINK_PORT = 7001


async def has(lab: Lab, host: str, port: int, program: str) -> None:
    """Serve on a host, and wait until it listens."""
    unit = Process(name=f"unit-{port}", argv=(sys.executable, "-c", program, str(port)))
    await lab.start_unit(host, unit)
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                await (await open_console(host, port)).aclose()
            except OSError:
                await anyio.sleep(0.02)
            else:
                return


async def connect_ms(lab: Lab, source: str, target: str) -> float:
    """The shortest of some TCP handshakes: one round trip. In a thread: the lab must go on."""

    def shortest() -> float:
        found = []
        for _ in range(TRIES):
            begin_s = time.perf_counter()
            client(source, lab.address(target)).close()
            found.append(1000 * (time.perf_counter() - begin_s))
        return min(found)

    return await anyio.to_thread.run_sync(shortest)


def victim(lab: Lab, text: str) -> Victim:
    """Whom a target means."""
    target = parse_target(text)
    assert target is not None
    [found] = resolve(target, layout_of(lab.topology), primary=None, random=Random(1))
    return found


def relays() -> list[int]:
    """The pids of relays: of this lab, as no other is seen from in here."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0")
        if any(word.endswith(b"wan_relay.py") for word in words):
            found.append(int(path.parent.name))
    return found


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(DEADLINE_S):
        while not condition():
            await anyio.sleep(0.01)


async def faults_on_a_lab_without_delay(folder: Path) -> None:
    ends: list[ProcessExit] = []
    async with Lab(load_builtin("three-sites"), logs=folder, on_exit=ends.append) as lab:
        stage = Stage(cluster=RaisedCluster(lab, cast(Services, None)))
        for host in ("dcs-orsay", "dcs-saint-cloud"):
            await has(lab, host, PORT, ECHO)
        await has(lab, "dcs-orsay", SINK_PORT, SINK)
        await nothing_is_paid_where_nothing_is_asked(lab)
        await faults_add_up_and_are_undone_one_by_one(lab, stage, ends)
        await loss_is_seen_and_survived(lab, stage)
        await a_rate_holds(lab, stage)
        await the_death_of_the_relay_is_told(lab, stage, ends)
    assert relays() == []


async def nothing_is_paid_where_nothing_is_asked(lab: Lab) -> None:
    assert relays() == []
    [seen] = await lab.measure_links([LINK])
    assert (seen.carrier, seen.lost, seen.asked.is_plain) == (BRIDGE, 0, True)
    assert seen.rtts_ms[0] < 5


async def faults_add_up_and_are_undone_one_by_one(
    lab: Lab, stage: Stage, ends: list[ProcessExit]
) -> None:
    link, site = victim(lab, "link:orsay-paris"), victim(lab, "site:paris")
    slow, more = LinkSlowParams(delay_ms=30), LinkSlowParams(delay_ms=50, jitter_ms=10)
    detail = await LINK_SLOW.strike(stage, link, slow)
    assert "round trip 30 ms more on paris-orsay: median round trip" in detail, detail
    assert 30 <= await connect_ms(lab, "app-paris", "dcs-orsay") < 60
    assert await connect_ms(lab, "app-paris", "dcs-saint-cloud") < 20
    assert len(relays()) == 1
    await LINK_SLOW.strike(stage, site, more)
    assert await connect_ms(lab, "app-paris", "dcs-orsay") >= 70
    assert await connect_ms(lab, "app-paris", "dcs-saint-cloud") >= 40
    await LINK_SLOW.undo(stage, link, slow)
    assert 40 <= await connect_ms(lab, "app-paris", "dcs-orsay") < 70
    await LINK_SLOW.undo(stage, site, more)
    assert await connect_ms(lab, "app-paris", "dcs-orsay") < 20
    assert relays() == []
    told = [(one.host, one.unit, one.status, one.expected) for one in ends]
    assert told == [("wan", UNIT, 0, True)]
    await LINK_SLOW.undo(stage, site, more)  # of what never struck: without effect
    assert relays() == []


async def loss_is_seen_and_survived(lab: Lab, stage: Stage) -> None:
    link, lossy = victim(lab, "link:orsay-paris"), LinkSlowParams(loss_percent=50)
    standing = client("app-paris", lab.address("dcs-orsay"))
    await LINK_SLOW.strike(stage, link, lossy)
    [seen] = await lab.measure_links([LINK])
    assert 3 <= seen.lost <= 20, seen  # of 20; each has to survive both ways
    [other] = await lab.measure_links([OTHER])
    assert other.lost == 0
    standing.sendall(b"through?")
    await LINK_SLOW.undo(stage, link, lossy)

    def answer() -> bytes:
        standing.settimeout(DEADLINE_S)
        return standing.recv(4096)

    assert await anyio.to_thread.run_sync(answer) == b"through?"


async def a_rate_holds(lab: Lab, stage: Stage) -> None:
    link, narrow = victim(lab, "link:orsay-paris"), LinkSlowParams(delay_ms=0, rate_mbit=4)
    await LINK_SLOW.strike(stage, link, narrow)
    assert await send_s(lab, 500_000) >= 0.9  # 4 Mbit at 4 Mbit/s
    await LINK_SLOW.undo(stage, link, narrow)
    assert await send_s(lab, 500_000) < 0.9


async def the_death_of_the_relay_is_told(lab: Lab, stage: Stage, ends: list[ProcessExit]) -> None:
    """What is undone then brings the links back."""
    link, slow = victim(lab, "link:orsay-paris"), LinkSlowParams()
    await LINK_SLOW.strike(stage, link, slow)
    ends.clear()
    os.kill(relays()[0], signal.SIGKILL)
    await until(lambda: bool(ends))
    assert (ends[0].unit, ends[0].status, ends[0].expected) == (UNIT, -9, False)
    [seen] = await lab.measure_links([OTHER])
    assert seen.rtts_ms == ()
    await LINK_SLOW.undo(stage, link, slow)
    assert await connect_ms(lab, "app-paris", "dcs-orsay") < 20


async def send_s(lab: Lab, count: int) -> float:
    """How long so many bytes take over the link, to the last one's arrival."""

    def send() -> float:
        with socket_in("app-paris") as connection:
            connection.settimeout(DEADLINE_S)
            connection.connect((lab.address("dcs-orsay"), SINK_PORT))
            begin_s = time.perf_counter()
            connection.sendall(bytes(count))
            connection.shutdown(1)
            assert connection.recv(1) == b""  # the sink closes once it has read all
            return time.perf_counter() - begin_s

    return await anyio.to_thread.run_sync(send)


async def a_topology_with_distances(folder: Path) -> None:
    topology = load_builtin("on-premise-and-cloud")
    ends: list[ProcessExit] = []
    async with Lab(topology, logs=folder, on_exit=ends.append) as lab:
        assert len(relays()) == 1
        near, far, other_far = await lab.measure_links(topology.links)
        assert {near.carrier, far.carrier} == {RELAY}
        assert near.asked == LinkQuality(rtt_ms=1)
        assert far.asked == other_far.asked == LinkQuality(rtt_ms=20, jitter_ms=2)
        assert 1 <= near.rtts_ms[0] < 15
        assert 18 <= far.rtts_ms[0] < 35
        assert (near.lost, far.lost) == (0, 0)
        # A cut is a cut, and comes to an end, with the relay as without.
        await has(lab, "dcs-cloud", PORT, ECHO)
        assert await connect_ms(lab, "app-paris", "dcs-cloud") >= 18
        await lab.cut_site("cloud")
        with pytest.raises(TimeoutError):
            client("app-paris", lab.address("dcs-cloud"), timeout_s=1.0)
        await lab.heal_site("cloud")
        assert await connect_ms(lab, "app-paris", "dcs-cloud") >= 18
        # A relay that died is started again by whoever sets the links, whatever for.
        os.kill(relays()[0], signal.SIGKILL)
        await until(lambda: bool(ends))
        await lab.restore_links((), PLAIN)
        assert await connect_ms(lab, "app-paris", "dcs-cloud") >= 18
    assert relays() == []
    assert [one.expected for one in ends if one.unit == UNIT] == [False, True]


PROBES: dict[str, Callable[[Path], Awaitable[None]]] = {
    probe.__name__: probe for probe in (faults_on_a_lab_without_delay, a_topology_with_distances)
}

if __name__ == "__main__":
    anyio.run(PROBES[sys.argv[1]], Path(sys.argv[2]))
