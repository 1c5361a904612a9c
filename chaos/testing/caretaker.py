"""Breaks a raised cluster on request, knows what is broken, and puts it in order again.

It stands beside the cluster, whatever the substrate: in the lab's own process, or in the process of
the test for containers. What strikes is the catalogue of the drills (``chaos.faults``).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import get_args

import anyio

from chaos.errors import ChaosError
from chaos.faults import FAULTS, Fault, Stage
from chaos.scenarios.model import FaultName
from chaos.testing.errors import FaultError, NotHealthyError, words_of
from chaos.testing.model import Done, MemberState, Request, State
from cluster.cluster import POLL_S, PatroniCluster, find_primary
from cluster.errors import ClusterError
from cluster.substrate import SiteCuttable, UnitExit
from cluster.topology.model import Role

PRIMARY_TIMEOUT_S = 10.0
"""For a primary to be seen where one is asked for: longer than a look, shorter than a failover."""
SWITCHOVER_TIMEOUT_S = 45.0
"""Patroni itself gives up after ``loop_wait`` and some seconds."""
ROLE_OF_UNIT: dict[str, Role] = {"patroni": "postgres", "etcd": "etcd"}
POWER_CUT: FaultName = "host-power-cut"
FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)


class Caretaker:
    """One cluster's.

    Args:
        cluster: raised.
        lost: told of a host as soon as it has no power any more.
        ended: looks for units that do not run, by host and unit, each in words why; for a
            substrate that is not told of it.
    """

    def __init__(
        self,
        cluster: PatroniCluster,
        *,
        lost: Callable[[str], object] = lambda host: None,
        ended: Callable[[], Awaitable[Mapping[tuple[str, str], str]]] | None = None,
    ) -> None:
        self.cluster = cluster
        self._stage = Stage(cluster=cluster)
        self._lost = lost
        self._ended = ended
        self._broken: list[tuple[FaultName, str, Fault]] = []
        self._cut: list[str] = []
        self._dead: set[tuple[str, str]] = set()
        self._changing = anyio.Lock()

    def unit_exited(self, unit: UnitExit) -> None:
        """A process ended: if nobody meant it to, ``heal`` starts it again."""
        if not unit.expected:
            self._dead.add((unit.host, unit.unit))

    async def do(self, request: Request) -> State | Done:  # noqa: PLR0911 (one an operation)
        """Do what is asked.

        Raises:
            FaultError: it is not possible now; says why.
            ClusterError: the substrate could not.
        """
        if request.op == "look":
            return await self.look()
        if request.op == "nudge":
            return await self._nudge()
        async with self._changing:
            match request.op:
                case "strike":
                    return await self._strike(request)
                case "start":
                    return await self._start(request.host)
                case "cut":
                    return await self._cut_off(request.site)
                case "heal":
                    return await self._heal()
                case "undo":
                    return await self._undo_one(request.fault, request.host)
                case "switchover":
                    return await self._switchover(request.candidate)
        raise FaultError(f"a caretaker does not know {request.op}")

    async def look(self) -> State:
        """How the cluster is."""
        answers = await self.cluster.members()
        return State(
            primary=find_primary(answers),
            missing=await self.cluster.missing_of_whole(answers),
            broken=self._broken_words(),
            members={
                node: None
                if answer is None
                else MemberState(role=answer.role, state=answer.state, timeline=answer.timeline)
                for node, answer in answers.items()
            },
        )

    async def _nudge(self) -> Done:
        """Ask the primary to look at once; its settings stay as they are (``cluster.boot``)."""
        primary = await self.cluster.primary()
        if primary is not None:
            loop_wait_s = self.cluster.substrate.topology.cluster.loop_wait_s
            await self.cluster.rest[primary].patch_configuration({"loop_wait": loop_wait_s})
        return Done(hosts=() if primary is None else (primary,))

    def _broken_words(self) -> tuple[str, ...]:
        words = [f"{fault} on {host}" for fault, host, _ in self._broken]
        words += [f"site {site} is cut off" for site in self._cut]
        return (*words, *(f"{unit} on {host} is dead" for host, unit in sorted(self._dead)))

    async def _strike(self, request: Request) -> Done:
        if request.fault not in FAULTS:
            raise FaultError(f"no fault {request.fault}; there are {', '.join(FAULTS)}")
        name = next(known for known in FAULT_NAMES if known == request.fault)
        hosts = await self._targets(request.target)
        for host in hosts:
            if any(entry[:2] == (name, host) for entry in self._broken):
                raise FaultError(f"{name} on {host} is in force already", node=host)
        words = []
        for host in hosts:
            fault = FAULTS[name](host=host, process=request.process)
            if fault.lasts:
                # Before it strikes: what was half done must be healed too.
                self._broken.append((name, host, fault))
            words.append(await fault.inject(self._stage))
            if name == POWER_CUT:
                self._lost(host)
        return Done(hosts=tuple(hosts), detail="; ".join(words))

    async def _targets(self, target: str) -> Sequence[str]:
        if target not in ("primary", "replicas"):
            return [target]
        primary = await self._wait_primary(f"nothing can strike {target}")
        if target == "primary":
            return [primary]
        return [node for node in self.cluster.rest if node != primary]

    async def _wait_primary(self, otherwise: str) -> str:
        end_s = time.monotonic() + PRIMARY_TIMEOUT_S
        while (primary := await self.cluster.primary()) is None:
            if time.monotonic() > end_s:
                words = f"{otherwise}: there was no primary for {PRIMARY_TIMEOUT_S:g} s"
                raise NotHealthyError(words)
            await anyio.sleep(POLL_S)
        return primary

    async def _start(self, host: str) -> Done:
        """Power, where it was cut, and every unit that does not run; what runs is left alone."""
        power_cut = [entry for entry in self._broken if entry[:2] == (POWER_CUT, host)]
        words = [await self._undo(entry) for entry in power_cut]
        for unit, how in (await self._ends()).items():
            if unit[0] == host:
                words.append(await self._start_unit(*unit, how))
        return Done(hosts=(host,), detail="; ".join(words) or f"{host} runs already")

    async def _ends(self) -> dict[tuple[str, str], str]:
        """Units that do not run on hosts that have power, each in words why where we did not end
        it."""
        ends = dict(await self._ended()) if self._ended else {}
        ends |= dict.fromkeys(sorted(self._dead), "")
        dark = [host for name, host, _ in self._broken if name == POWER_CUT]
        return {unit: how for unit, how in ends.items() if unit[0] not in dark}

    async def _start_unit(self, host: str, unit: str, how: str) -> str:
        await self.cluster.start_services(host, only=ROLE_OF_UNIT[unit])
        self._dead.discard((host, unit))
        return f"started {unit} on {host}" + (f": {how}" if how else "")

    async def _cut_off(self, site: str) -> Done:
        if site in self._cut:
            raise FaultError(f"site {site} is cut off already")
        self._cut.append(site)
        await self._stage.able(SiteCuttable).cut_site(site)
        return Done(hosts=self._hosts_of(site), detail=f"{site} is cut off from every other site")

    def _hosts_of(self, site: str) -> tuple[str, ...]:
        topology = self.cluster.substrate.topology
        return tuple(
            host.name for host in topology.hosts if topology.site_of(host.name).name == site
        )

    async def _join(self, site: str) -> str:
        await self._stage.able(SiteCuttable).heal_site(site)
        self._cut.remove(site)
        return f"site {site} is joined again"

    async def _undo(self, entry: tuple[FaultName, str, Fault]) -> str:
        name, host, fault = entry
        detail = await fault.heal(self._stage)
        self._broken.remove(entry)
        if name == POWER_CUT:  # what died before it has been started with it
            self._dead = {dead for dead in self._dead if dead[0] != host}
        return f"{name} on {host}: {detail}"

    async def _undo_one(self, fault: str, host: str) -> Done:
        """Undo one fault on one host, if it is in force still."""
        entries = [entry for entry in self._broken if entry[:2] == (fault, host)]
        words = [await self._undo(entry) for entry in entries]
        return Done(hosts=(host,), detail="; ".join(words) or f"no {fault} on {host}")

    async def _heal(self) -> Done:
        """Undo everything that is still there, the newest first, and start what died.

        Raises:
            FaultError: some of it could not be; says what. The rest is.
        """
        words: list[str] = []
        refusals: list[str] = []

        async def attempt(what: str, step: Awaitable[str]) -> None:
            try:
                words.append(await step)
            except (ChaosError, ClusterError, OSError, ExceptionGroup) as error:
                refusals.append(f"{what}: {'; '.join(words_of(error))}")

        for site in list(self._cut):
            await attempt(f"site {site} could not be joined again", self._join(site))
        for entry in reversed(self._broken[:]):
            await attempt(f"{entry[0]} on {entry[1]} could not be undone", self._undo(entry))
        for (host, unit), how in (await self._ends()).items():
            step = self._start_unit(host, unit, how)
            await attempt(f"{unit} on {host} could not be started", step)
        if refusals:
            raise FaultError("\n".join(refusals))
        return Done(detail="; ".join(words) or "nothing was broken")

    async def _switchover(self, candidate: str | None) -> Done:
        leader = await self._wait_primary("there is nothing to hand over")
        rest = self.cluster.rest[leader]
        words = await rest.switchover(leader, candidate, timeout_s=SWITCHOVER_TIMEOUT_S)
        return Done(hosts=(await self._wait_primary(words),), detail=words)
