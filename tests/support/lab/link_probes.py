"""The faults of links and sites, struck in one real lab. Runs inside the sealed namespaces.

``tests/integration/chaos/faults/test_links.py`` starts it, once for all of them; it prints what
came of each as a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
from support.lab.lab_probes import (
    CUT_SILENCE_S,
    DEADLINE_S,
    ECHO,
    NEIGHBOUR,
    PORT,
    A,
    B,
    Silence,
    both_ways,
    client,
    echo_unit,
    echoes,
    wait_echo,
)

from chaos.decode import decode
from chaos.faults.base import Stage
from chaos.faults.book import Book, Stroke
from chaos.faults.registry import FAULTS
from chaos.faults.targets import (
    Victim,
    chance,
    find_victim,
    hosts_of,
    layout_of,
    parse_target,
    resolve,
)
from cluster.substrates.base import PacketProbe, Process
from cluster.substrates.lab.console import open_console
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin

C = "db-saint-cloud"
OTHER_PORT = PORT + 1
MANY = 1000
FLAP = {"down_s": 1.0, "up_s": 1.0}
FLAPS_SEEN = 3
WATCH_S = 0.1


class Strikes:
    """Strikes as a drill does, with a book of what is broken."""

    def __init__(self, lab: Lab) -> None:
        self._layout = layout_of(lab.topology)
        self._stage = Stage(cluster=cast(Any, SimpleNamespace(substrate=lab)))
        self.book = Book()

    async def strike(self, key: str, target: str, **params: object) -> str:
        """The words of the fault."""
        asked = parse_target(target)
        assert asked is not None
        [victim] = resolve(asked, self._layout, primary=A, random=chance(1))
        kind = FAULTS[key]
        stroke = Stroke(kind=kind, victim=victim, params=decode(kind.params, params))
        return await self.book.strike(self._stage, stroke)

    async def strike_at_once(self, key: str, *hosts: str, **params: object) -> dict[str, str]:
        """Several hosts in the same moment; by host, the words of the fault."""
        kind = FAULTS[key]
        victims = [find_victim(host, self._layout) for host in hosts]
        stage = replace(self._stage, struck=hosts_of(victims))
        words: dict[str, str] = {}

        async def one(victim: Victim) -> None:
            stroke = Stroke(kind=kind, victim=victim, params=decode(kind.params, params))
            words[victim.name] = await self.book.strike(stage, stroke)

        async with anyio.create_task_group() as strikes:
            for victim in victims:
                strikes.start_soon(one, victim)
        return words

    async def heal(self) -> list[str]:
        """The words of every undoing, the newest first."""
        words = []
        async for undoing in self.book.heal(self._stage):
            if undoing.error is not None:
                raise undoing.error
            words.append(undoing.detail)
        return words


async def arrivals(
    lab: Lab, source: str, target: str, packets: int = 1, port: int = 0, *, timeout_s: float = 0.5
) -> int:
    """How many test packets arrive; those that must not are waited for until they are certain."""
    probe = PacketProbe(source=source, target=target, packets=packets, port=port)
    [found] = await lab.count_arrivals([probe], timeout_s=timeout_s)
    return found


async def keeps(silence: Silence) -> None:
    """The silence is kept for ``CUT_SILENCE_S``, and the lab goes on meanwhile."""
    await anyio.to_thread.run_sync(silence.is_kept)


async def is_over(silence: Silence) -> None:
    """What stood goes on, and what is new comes about."""
    await anyio.to_thread.run_sync(silence.is_over)


async def one_way_in(lab: Lab, faults: Strikes) -> None:
    """A host hears nobody, and everybody hears it; TCP is silent, and nobody is told why."""
    silence = Silence(lab, both_ways(A, B, NEIGHBOUR))
    words = await faults.strike("link-cut-one-way", "primary", direction="in")
    assert words == "of 8 test packets to db-paris none arrives (8 before); the rest passes", words
    for other in (B, NEIGHBOUR):
        assert await arrivals(lab, other, A) == 0
        assert await arrivals(lab, A, other) == 1
    await keeps(silence)
    await faults.heal()
    await is_over(silence)


async def one_way_out(lab: Lab, faults: Strikes) -> None:
    """A host hears everybody, and nobody hears it."""
    await faults.strike("link-cut-one-way", "primary", direction="out")
    for other in (B, NEIGHBOUR):
        assert await arrivals(lab, other, A) == 1
        assert await arrivals(lab, A, other) == 0
    await faults.heal()
    assert await arrivals(lab, A, B) == 1


async def loss(lab: Lab, faults: Strikes) -> None:
    """About that many packets vanish, each way, to every other host; TCP gets through."""
    await faults.strike("link-loss", "primary", loss_percent=30)
    for one, other in both_ways(A, B, NEIGHBOUR):
        assert 600 <= await arrivals(lab, one, other, MANY) <= 800, (one, other)
    assert await arrivals(lab, B, NEIGHBOUR, MANY) == MANY
    assert echoes(await anyio.to_thread.run_sync(client, B, lab.address(A)), b"gets through")
    await faults.heal()
    for one, other in both_ways(A, B, NEIGHBOUR):
        assert await arrivals(lab, one, other, MANY) == MANY


async def two_hosts_one_way(lab: Lab, faults: Strikes) -> None:
    """Two hosts at once hear nobody, nor each other; a third one hears both."""
    words = await faults.strike_at_once("link-cut-one-way", A, B, direction="in")
    for said in words.values():
        assert said.endswith("none arrives (7 before); the rest passes"), words
    for one, other in both_ways(A, B, C):
        assert await arrivals(lab, one, other) == (other == C), (one, other)
    assert await arrivals(lab, C, NEIGHBOUR) == 1
    await faults.heal()
    for one, other in both_ways(A, B, C):
        assert await arrivals(lab, one, other) == 1


async def two_hosts_lossy(lab: Lab, faults: Strikes) -> None:
    """Two hosts at once lose a share of what they send and are sent; between them both do."""
    await faults.strike_at_once("link-loss", A, B, loss_percent=30)
    for one, other in both_ways(A, C):
        assert 600 <= await arrivals(lab, one, other, MANY) <= 800, (one, other)
    assert 390 <= await arrivals(lab, A, B, MANY) <= 590
    await faults.heal()


async def whole_site_by_hosts(lab: Lab, faults: Strikes) -> None:
    """Every host of a site at once: nothing leaves any of them; then one service of them all."""
    site = layout_of(lab.topology).sites["paris"]
    words = await faults.strike_at_once("link-cut-one-way", *site, direction="out")
    assert all(said.endswith("(6 before); the rest passes") for said in words.values()), words
    for inside in site:
        assert await arrivals(lab, inside, B) == 0
        assert await arrivals(lab, B, inside) == 1
    await faults.heal()
    words = await faults.strike_at_once("port-cut", *site, port=OTHER_PORT)
    assert all(said.endswith("; the rest passes") for said in words.values()), words
    await faults.heal()
    assert await arrivals(lab, A, B) == 1


async def flap(lab: Lab, faults: Strikes) -> None:
    """Out and in by turns, also through a power cut, until it is healed; then it stays in."""
    silence = Silence(lab, [(NEIGHBOUR, B)])  # others notice nothing
    await faults.strike("link-flap", "primary", **FLAP)

    async def wait_arrivals(wanted: int) -> None:
        with anyio.fail_after(DEADLINE_S):
            while await arrivals(lab, B, A) != wanted:
                await anyio.sleep(WATCH_S)

    for _ in range(FLAPS_SEEN):
        await wait_arrivals(0)
        await wait_arrivals(1)
    for connection in silence.standing:
        assert echoes(connection, b"still here")
    await lab.kill_host(A)
    await lab.start_host(A)
    await wait_arrivals(0)
    [words] = await faults.heal()
    times = int(words.split()[-2])
    assert times > FLAPS_SEEN, words
    begin_s = time.monotonic()
    while time.monotonic() < begin_s + 2 * (FLAP["down_s"] + FLAP["up_s"]):
        # A packet of a link that is out never comes: a busy machine may take its time.
        assert await arrivals(lab, B, A, timeout_s=DEADLINE_S) == 1
        await anyio.sleep(WATCH_S)
    await start_echoes(lab, A)


async def port(lab: Lab, faults: Strikes) -> None:
    """One port is silent from and to a host, connected or not; another one goes on."""
    silence = Silence(lab, both_ways(A, B, NEIGHBOUR))
    elsewhere = Silence(lab, [(B, NEIGHBOUR)])
    words = await faults.strike("port-cut", "primary", port=PORT)
    assert words.startswith(f"{PORT}: of 8 test packets to db-paris none arrives (8 before)"), words
    for one, other in both_ways(A, B, NEIGHBOUR):
        assert await arrivals(lab, one, other, port=PORT) == 0
        assert await arrivals(lab, one, other, port=OTHER_PORT) == 1
        stream = await open_console(one, OTHER_PORT, lab.address(other))
        await stream.send(b"goes on")
        assert await stream.receive() == b"goes on"
        await stream.aclose()
    for connection in elsewhere.standing:
        assert echoes(connection, b"still here")
    await keeps(silence)
    await faults.heal()
    await is_over(silence)


async def one_port_of_two(lab: Lab, faults: Strikes) -> None:
    """Two hosts lose the same port at the same moment; each proof listens there in its turn."""
    async with anyio.create_task_group() as tasks:
        for host in (A, B):
            tasks.start_soon(partial(faults.strike, "port-cut", f"host:{host}", port=PORT))
    assert await arrivals(lab, NEIGHBOUR, A, port=PORT) == 0
    assert await arrivals(lab, NEIGHBOUR, B, port=PORT) == 0
    await faults.heal()


async def site_one_way(lab: Lab, faults: Strikes) -> None:
    """A site hears no other, and is heard; within it all goes on."""
    silence = Silence(lab, [(A, B), (B, NEIGHBOUR)])
    within = Silence(lab, [(NEIGHBOUR, A)])
    await faults.strike("site-cut-one-way", "site:paris", direction="in")
    for inside in (A, NEIGHBOUR):
        for outside in (B, C):
            assert await arrivals(lab, outside, inside) == 0
            assert await arrivals(lab, inside, outside) == 1
    for connection in within.standing:
        assert echoes(connection, b"still here")
    await keeps(silence)
    await faults.heal()
    await is_over(silence)


async def site_link(lab: Lab, faults: Strikes) -> None:
    """Two sites do not hear each other, and both reach the third."""
    silence = Silence(lab, both_ways(A, B))
    third = Silence(lab, [(A, C), (B, C)])
    words = await faults.strike("site-link-cut", "link:paris-orsay")
    assert words.startswith("paris-orsay: of 3 test packets from paris none arrives (3"), words
    for connection in third.standing:
        assert echoes(connection, b"still here")
    await keeps(silence)
    await faults.heal()
    await is_over(silence)


async def site_link_one_way(lab: Lab, faults: Strikes) -> None:
    """Only what the first sends to the second vanishes."""
    await faults.strike("site-link-cut", "link:orsay-paris", one_way=True)
    assert await arrivals(lab, B, A) == 0
    assert await arrivals(lab, A, B) == 1
    assert await arrivals(lab, B, C) == await arrivals(lab, C, B) == 1
    await faults.heal()
    assert await arrivals(lab, B, A) == 1


async def together(lab: Lab, faults: Strikes) -> None:
    """Faults of one host lie over each other, and each is undone alone; a power cut between them
    changes nothing of that."""
    await faults.strike("link-cut-one-way", "primary", direction="in")
    await faults.strike("link-cut-one-way", "primary", direction="out")
    words = await faults.strike("link-cut", "primary")
    assert words.endswith("of 16 test packets to db-paris and from db-paris none arrives"), words
    await lab.kill_host(A)
    await lab.heal_link(A)  # the host has no power: nobody may answer for it
    await faults.heal()
    assert await arrivals(lab, B, A) == 0
    await lab.start_host(A)
    assert await arrivals(lab, B, A) == await arrivals(lab, A, B) == 1
    await lab.kill_host(A)
    await faults.strike("link-cut", "primary")
    await lab.start_host(A)  # with its cable out
    assert await arrivals(lab, B, A) == 0
    await faults.heal()
    assert await arrivals(lab, B, A) == 1
    await start_echoes(lab, A)


async def power_again_at_once(lab: Lab, faults: Strikes) -> None:
    """A host that lost its power has it again in the same moment, as often as one likes."""
    for _ in range(5):
        await lab.kill_host(A)
        await lab.start_host(A)
    assert await arrivals(lab, B, A) == await arrivals(lab, A, B) == 1
    await start_echoes(lab, A)


async def sites(lab: Lab, faults: Strikes) -> None:
    """The cut of a site proves itself too."""
    words = await faults.strike("site-cut", "site-of:primary")
    assert words.endswith("; of 12 test packets to paris and from paris none arrives"), words
    await faults.heal()
    assert await arrivals(lab, A, B) == 1


async def nothing(lab: Lab, faults: Strikes) -> None:
    """What has never struck can be undone."""
    for key, target in (
        ("link-cut-one-way", "primary"),
        ("link-loss", "primary"),
        ("link-flap", "primary"),
        ("port-cut", "primary"),
        ("site-cut-one-way", "site:paris"),
        ("site-link-cut", "link:paris-orsay"),
    ):
        asked = parse_target(target)
        assert asked is not None
        [victim] = resolve(asked, layout_of(lab.topology), primary=A, random=chance(1))
        kind = FAULTS[key]
        faults.book.note(Stroke(kind=kind, victim=victim, params=kind.params()))
    assert len(await faults.heal()) == 6


PROBES: Mapping[str, Callable[[Lab, Strikes], Awaitable[None]]] = {
    probe.__name__: probe
    for probe in (
        nothing,
        one_way_in,
        one_way_out,
        loss,
        two_hosts_one_way,
        two_hosts_lossy,
        whole_site_by_hosts,
        flap,
        port,
        one_port_of_two,
        site_one_way,
        site_link,
        site_link_one_way,
        power_again_at_once,
        sites,
        together,
    )
}
END = "end"
"""In the list too: the lab ends in good time while a link flaps in it."""
END_S_MAX = 5.0


async def start_echoes(lab: Lab, host: str) -> None:
    """Echo servers at two ports of a host."""
    other = (sys.executable, "-c", ECHO, str(OTHER_PORT), "other")
    await lab.start_unit(host, echo_unit())
    await lab.start_unit(host, Process(name="other", argv=other))
    await wait_echo(lab, host)
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                stream = await open_console(host, OTHER_PORT)
            except OSError:
                await anyio.sleep(0.02)
            else:
                await stream.aclose()
                return


def say(probe: str, error: str = "") -> None:
    """What came of one."""
    print(json.dumps({"probe": probe, "error": error}), flush=True)


async def main(logs: Path) -> None:
    async with Lab(load_builtin("three-sites"), logs=logs, on_exit=lambda end: None) as lab:
        for host in (A, B, NEIGHBOUR, C):
            await start_echoes(lab, host)
        for name, probe in PROBES.items():
            faults = Strikes(lab)
            try:
                await probe(lab, faults)
                say(name)
            except Exception:
                say(name, traceback.format_exc())
                await faults.heal()
                for host in (A, B, NEIGHBOUR, C):  # no failure of the next ones is owed to this
                    await lab.kill_host(host)
                    await lab.start_host(host)
                    await start_echoes(lab, host)
        await Strikes(lab).strike("link-flap", "primary", **FLAP)
        begin_s = time.monotonic()
    took_s = time.monotonic() - begin_s
    say(END, "" if took_s < END_S_MAX else f"the end took {took_s:.1f} s")


if __name__ == "__main__":
    assert CUT_SILENCE_S > 3  # a kernel without an answer to ARP says so after 3 s
    anyio.run(main, Path(sys.argv[1]))
