"""The lab's links between sites: a bridge while they do nothing, else the relay; and their measure.

A topology whose links have no delay costs nothing: its routers meet on a bridge. As soon as one
link is to do something, by the topology or by a fault, the relay (``wan_relay.py``) takes over all
of them, and gives them back when none has anything to do any more. The change-over loses what
crosses in that moment, some microseconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.abc

from cluster.errors import LabError
from cluster.substrates.base import LinkSeen, ProcessExit
from cluster.substrates.lab import network, wan_probe, wan_relay
from cluster.topology.model import Topology
from cluster.topology.wan import LinkQuality

UNIT = "wan-relay"
BRIDGE = "bridge"
RELAY = "relay"
"""What carries the links, for people."""
ANSWER_TIMEOUT_S = 15.0
"""A bare interpreter and a few sockets: 0.1 s; more only on a machine that is badly overloaded."""
ECHOES = 20
ECHO_EVERY_S = 0.02
ECHO_WAIT_S = 1.0
"""Beyond the round trip that is asked for: what comes later counts as lost."""
MEASURE_TIMEOUT_S = 30.0
BITS_PER_BYTE = 8

Pair = tuple[str, str]


class LabWan:
    """All links between the sites of a lab.

    Args:
        topology: whose.
        logs: the folder for the relay's log.
        on_exit: called when the relay ends, expected or not.
    """

    def __init__(
        self, topology: Topology, *, logs: Path, on_exit: Callable[[ProcessExit], None]
    ) -> None:
        self._topology = topology
        self._logs = logs
        self._on_exit = on_exit
        self._numbers = {site.name: n for n, site in enumerate(topology.sites, start=1)}
        self._more: list[tuple[Pair, LinkQuality]] = []
        self._cut_up: set[str] = set()
        self._relay: _Relay | None = None
        self._changing = anyio.Lock()
        self._tasks: anyio.abc.TaskGroup | None = None

    @property
    def carrier(self) -> str:
        """What carries the links now: ``bridge`` or ``relay``."""
        return RELAY if self._is_relayed else BRIDGE

    @property
    def _is_relayed(self) -> bool:
        return self._relay is not None and self._relay.is_up

    def quality(self, first: str, second: str) -> LinkQuality:
        """What a link is now: what the topology says, and every disturbance on top."""
        quality = self._topology.wan.between(first, second)
        for pair, more in self._more:
            if {*pair} == {first, second}:
                quality = quality.worsened(more)
        return quality

    async def open(self, tasks: anyio.abc.TaskGroup) -> None:
        """Put what the topology says in force. What follows the relay joins ``tasks``.

        Raises:
            LabError: the kernel refused something, or the relay did not come up.
        """
        self._tasks = tasks
        await self._put_in_force()

    async def disturb(self, links: Collection[Pair], more: LinkQuality) -> None:
        """Put a disturbance on top of some links.

        Raises:
            LabError: it is not in force; ``restore`` takes back what is.
        """
        self._more += [(link, more) for link in links]
        await self._put_in_force()

    async def restore(self, links: Collection[Pair], more: LinkQuality) -> None:
        """Take a disturbance away again; no effect on a link that does not have it.

        Raises:
            LabError: the links could not be set.
        """
        for link in links:
            with suppress(ValueError):
                self._more.remove((link, more))
        await self._put_in_force()

    async def measure(self, links: Collection[Pair]) -> tuple[LinkSeen, ...]:
        """Send ``ECHOES`` over each of the links, from router to router, at once.

        Raises:
            LabError: it could not be measured.
        """
        targets: dict[str, list[str]] = {}
        for first, second in links:
            targets.setdefault(first, []).append(second)
        found: dict[Pair, list[float]] = {}

        async def probe(site: str, others: list[str]) -> None:
            wait_s = ECHO_WAIT_S + max(self._rtt_s_max(site, other) for other in others)
            to = {network.router_address(self._numbers[other]): other for other in others}
            argv = _bare(wan_probe.__file__, network.router_of(site))
            argv += [str(ECHOES), str(ECHO_EVERY_S), str(wait_s), *to]
            answer = json.loads(await network.run(argv, timeout_s=MEASURE_TIMEOUT_S))
            found.update({(site, to[address]): rtts for address, rtts in answer.items()})

        async with anyio.create_task_group() as probes:
            for site, others in targets.items():
                probes.start_soon(probe, site, others)
        return tuple(
            LinkSeen(
                between=link,
                asked=self.quality(*link),
                carrier=self.carrier,
                sent=ECHOES,
                rtts_ms=tuple(sorted(found[link])),
            )
            for link in links
        )

    async def close(self) -> None:
        """End the relay. Idempotent."""
        if self._relay is not None:
            await self._relay.close()
            self._relay = None

    def _rtt_s_max(self, first: str, second: str) -> float:
        quality = self.quality(first, second)
        return (quality.rtt_ms + quality.jitter_ms) / 1000

    async def _put_in_force(self) -> None:
        async with self._changing:
            links = {link: self.quality(*link) for link in self._topology.links}
            if all(quality.is_plain for quality in links.values()):
                await self._bridge()
            else:
                await self._relayed(links)

    async def _bridge(self) -> None:
        """Have the bridge carry all links, unless it does."""
        if self._relay is not None:
            await network.run_batch(network.plan_carrier(self._topology, bridged=True))
            await self.close()
        await self._cut_up_for(frozenset())

    async def _relayed(self, links: dict[Pair, LinkQuality]) -> None:
        """Have the relay carry all links, each as it is to be."""
        singly = {site for link, one in links.items() if one.needs_single_packets for site in link}
        await self._cut_up_for(singly)
        relay = self._relay
        if relay is None or not relay.is_up:
            assert self._tasks is not None
            await self.close()
            self._relay = relay = _Relay(self._logs / f"{network.WAN}.{UNIT}.log", self._on_exit)
            await relay.start(self._tasks, list(self._numbers.values()))
        await relay.set(list(self._ways(links)))
        await network.run_batch(network.plan_carrier(self._topology, bridged=False))

    def _ways(self, links: dict[Pair, LinkQuality]) -> Iterator[list[float | None]]:
        """What the relay is asked: both directions of each link, half of the round trip each."""
        for (first, second), quality in links.items():
            ends = (self._numbers[first], self._numbers[second])
            rate = quality.rate_mbit
            for from_, to in (ends, ends[::-1]):
                yield [
                    from_,
                    to,
                    quality.rtt_ms / 2 / 1000,
                    quality.jitter_ms / 2 / 1000,
                    quality.loss_percent / 100,
                    None if rate is None else rate * 1e6 / BITS_PER_BYTE,
                ]

    async def _cut_up_for(self, sites: Collection[str]) -> None:
        """Have exactly the routers of these sites send packets, not bursts."""
        for site in self._topology.sites:
            singly = site.name in sites
            if singly != (site.name in self._cut_up):
                await network.run_batch(network.plan_whole_frames(site.name, whole=not singly))
        self._cut_up = set(sites)


class _Relay:
    """The relay's process, seen from the director."""

    def __init__(self, log: Path, on_exit: Callable[[ProcessExit], None]) -> None:
        self._log = log
        self._on_exit = on_exit
        self._process: anyio.abc.Process | None = None
        self._ending = False
        self._gone = anyio.Event()
        self._pending = b""

    @property
    def is_up(self) -> bool:
        return self._process is not None and not self._gone.is_set()

    async def start(self, tasks: anyio.abc.TaskGroup, sites: Collection[int]) -> None:
        """Start it; it passes nothing on until it is told what the links are."""
        argv = [*_bare(wan_relay.__file__, network.WAN), *map(str, sites)]
        with self._log.open("ab") as log:
            self._process = await anyio.open_process(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # where the scheduler shares by session, one of its own
            )
        tasks.start_soon(self._follow, self._process)

    async def set(self, ways: list[list[float | None]]) -> None:
        """Tell it what the links are; in force when this returns.

        Raises:
            LabError: it has ended, or does not answer.
        """
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with anyio.fail_after(ANSWER_TIMEOUT_S):
                await process.stdin.send(json.dumps({"ways": ways}).encode() + b"\n")
                while b"\n" not in self._pending:
                    self._pending += await process.stdout.receive()
        except (
            TimeoutError,
            anyio.EndOfStream,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ) as error:
            words = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise LabError(f"the relay of the WAN does not answer: {''.join(words)}") from error
        _, self._pending = self._pending.split(b"\n", 1)

    async def close(self) -> None:
        """End it: it passes on what it still has."""
        self._ending = True
        if self._process is None:
            return
        with anyio.CancelScope(shield=True):
            assert self._process.stdin is not None
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._process.stdin.aclose()
            with anyio.move_on_after(ANSWER_TIMEOUT_S):
                await self._gone.wait()
            if not self._gone.is_set():
                self._process.kill()
                await self._gone.wait()

    async def _follow(self, process: anyio.abc.Process) -> None:
        """Report its end. Shielded: while a drill is being stopped its links must still be there;
        it ends with the lab at the latest."""
        with anyio.CancelScope(shield=True):
            status = await process.wait()
            self._gone.set()
            self._on_exit(
                ProcessExit(
                    host=network.WAN,
                    unit=UNIT,
                    status=status,
                    expected=self._ending,
                    t_s=time.monotonic(),
                )
            )


def _bare(program: str, namespace: str) -> list[str]:
    """A program of ours in a namespace, by a bare interpreter."""
    return [
        *("nsenter", f"--net=/run/netns/{namespace}", "--"),
        *(sys.executable, "-I", "-S", program),
    ]
