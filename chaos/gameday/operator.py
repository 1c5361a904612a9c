"""Breaks a raised cluster on request, knows what is broken, and puts it in order again.

It works on every substrate: in the lab's own process, or in the process of the test for containers.
Its faults are the catalogue of the drills (``chaos.faults.registry``).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

import anyio

from chaos.decode import decode
from chaos.errors import ChaosError, FormatError, ScheduleError
from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.book import Book, Stroke
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Target, Victim, hosts_of, layout_of, parse_target, resolve
from chaos.gameday.errors import FaultError, NotHealthyError, words_of
from chaos.gameday.requests import Done, MemberState, Request, State
from cluster.errors import ClusterError
from cluster.raised import POLL_S, RaisedCluster
from cluster.services import ROLE_OF_UNIT
from cluster.substrates.base import ProcessExit, Slowable
from cluster.topology.wan import PLAIN
from cluster.whole import find_primary

PRIMARY_TIMEOUT_S = 10.0
"""For a primary to be seen where one is asked for: longer than a look, shorter than a failover."""


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
        cluster: RaisedCluster,
        *,
        lost: Callable[[str], object] = lambda host: None,
        ended: Callable[[], Awaitable[Mapping[tuple[str, str], str]]] | None = None,
    ) -> None:
        self.cluster = cluster
        self._stage = Stage(cluster=cluster)
        self._lost = lost
        self._ended = ended
        self._book = Book()
        self._dead: set[tuple[str, str]] = set()
        self._changing = anyio.Lock()

    def unit_exited(self, unit: ProcessExit) -> None:
        """A process ended: if that was not intended, ``heal`` starts it again."""
        if not unit.expected:
            self._dead.add((unit.host, unit.unit))

    async def do(self, request: Request) -> State | Done:
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
                case "heal":
                    return await self._heal()
                case "undo":
                    return await self._undo_one(request.fault, request.host)
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
        words = [one.kind.broken(one.victim.name, one.params) for one in self._book.broken]
        return (*words, *(f"{unit} on {host} is dead" for host, unit in sorted(self._dead)))

    async def _strike(self, request: Request) -> Done:
        kind = FAULTS.get(request.fault)
        if kind is None:
            raise FaultError(f"no fault {request.fault}; there are {', '.join(FAULTS)}")
        params = _params(kind, request.params)
        victims = await self._victims(kind, request.target, Random(request.seed))
        for victim in victims:
            if kind.stays(params) and (there := self._book.of(kind.key, victim.name)):
                already = kind.broken_already(victim.name, there[0].params)
                raise FaultError(already, node=victim.name)
        words = []
        stage = replace(self._stage, struck=hosts_of(victims))
        for victim in victims:
            stroke = Stroke(kind=kind, victim=victim, params=params)
            words.append(await self._book.strike(stage, stroke))
            if stroke.effect == "power-off":
                for host in victim.hosts:
                    self._lost(host)
        return Done(
            hosts=tuple(host for victim in victims for host in victim.hosts),
            victims=tuple(victim.name for victim in victims),
            detail="; ".join(words),
        )

    async def _victims(self, kind: FaultKind[Any], text: str, random: Random) -> Sequence[Victim]:
        target = parse_target(text) or Target(selector="host", name=text)
        if refusal := kind.refusal(target):
            raise FaultError(refusal)
        primary = None
        if target.needs_primary:
            primary = await self._wait_primary(f"nothing can strike {text}")
        dcs_leader = await self.cluster.dcs_leader() if target.needs_dcs_leader else None
        layout = layout_of(self.cluster.substrate.topology)
        try:
            return resolve(target, layout, primary=primary, random=random, dcs_leader=dcs_leader)
        except ScheduleError as error:
            raise FaultError(f"{kind.key} cannot strike: {error}") from error

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
        dead = [one for one in self._book.broken if one.ends_processes]
        words = [await self._undo(one) for one in dead if host in one.victim.hosts]
        for unit, how in (await self._ends()).items():
            if unit[0] == host:
                words.append(await self._start_unit(*unit, how))
        return Done(hosts=(host,), detail="; ".join(words) or f"{host} runs already")

    async def _ends(self) -> dict[tuple[str, str], str]:
        """Units that do not run on hosts that have power, each in words why where we did not end
        it."""
        ends = dict(await self._ended()) if self._ended else {}
        ends |= dict.fromkeys(sorted(self._dead), "")
        dark = self._book.dark_hosts
        return {unit: how for unit, how in ends.items() if unit[0] not in dark}

    async def _start_unit(self, host: str, unit: str, how: str) -> str:
        if unit in ROLE_OF_UNIT:
            await self.cluster.start_services(host, only=ROLE_OF_UNIT[unit])
        elif host in self.cluster.substrate.topology.nodes:  # its disk is a part of the machine
            raise ClusterError(f"it comes back with the power of {host} only")
        else:  # what carries the links between the sites: set anew, it is started where needed
            await self._stage.able(Slowable).restore_links((), PLAIN)
        self._dead.discard((host, unit))
        return f"started {unit} on {host}" + (f": {how}" if how else "")

    async def _undo(self, stroke: Stroke) -> str:
        detail = await self._book.undo(self._stage, stroke)
        return self._undone(stroke, detail)

    def _undone(self, stroke: Stroke, detail: str) -> str:
        if stroke.effect == "power-off":  # what died before it has been started with it
            self._dead = {dead for dead in self._dead if dead[0] not in stroke.victim.hosts}
        return f"{stroke}: {detail}"

    async def _undo_one(self, fault: str, victim: str) -> Done:
        """Undo one fault at one victim, if it is in force still."""
        words = [await self._undo(stroke) for stroke in self._book.of(fault, victim)]
        return Done(hosts=(victim,), detail="; ".join(words) or f"no {fault} on {victim}")

    async def _heal(self) -> Done:
        """Undo everything that is still there, the newest first, and start what died.

        Raises:
            FaultError: some of it could not be; says what. The rest is.
        """
        words: list[str] = []
        refusals: list[str] = []
        async for undoing in self._book.heal(self._stage):
            stroke, error = undoing.stroke, undoing.error
            if error is None:
                words.append(self._undone(stroke, undoing.detail))
            else:
                refusals.append(f"{stroke} could not be undone: {'; '.join(words_of(error))}")
        for (host, unit), how in (await self._ends()).items():
            try:
                words.append(await self._start_unit(host, unit, how))
            except (ChaosError, ClusterError, OSError, ExceptionGroup) as error:
                said = "; ".join(words_of(error))
                refusals.append(f"{unit} on {host} could not be started: {said}")
        if refusals:
            raise FaultError("\n".join(refusals))
        return Done(detail="; ".join(words) or "nothing was broken")


def _params(kind: FaultKind[Any], asked: Mapping[str, object]) -> FaultParams:
    """The parameters of a fault, checked against its kind."""
    known = {field.name for field in fields(kind.params)}
    if strangers := [name for name in asked if name not in known]:
        raise FaultError(f"{kind.key} has no {', '.join(strangers)}")
    try:
        params: FaultParams = decode(kind.params, asked)
    except FormatError as error:
        raise FaultError(f"{kind.key}: {error}") from error
    return params
