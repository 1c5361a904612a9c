"""A cluster that is broken by hand: the fault phase of a drill without a schedule.

``python -m chaos.gameday.by_hand RUN --by-hand FOLDER ...`` is ``chaos.drill.process`` with it.

It serves the control channel for as long as the drill lives, and has the fault phase from the end
of the preflight until somebody asks for the end. What is struck and healed goes through the drill's
own ``Schedule``, so that book, board and evidence are those of any drill, and so is the verdict.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from chaos.drill import process
from chaos.drill.director import Reins
from chaos.drill.recorder import Recorder
from chaos.errors import ChaosError, ScheduleError
from chaos.evidence.events import Phase
from chaos.faults.book import Stroke
from chaos.faults.registry import FAULTS
from chaos.faults.targets import Victim, layout_of
from chaos.gameday import channel
from chaos.gameday.asked import read_step
from chaos.gameday.errors import FaultError, NotHealthyError, NotRunningError, words_of
from chaos.gameday.lab_view import BrokenView, LabView, NodeView, SaidView, SiteView
from chaos.gameday.plan import read_plan
from chaos.gameday.requests import Done, Ready, Request
from chaos.live.board import Board
from chaos.scenarios.model import FaultStep
from cluster.errors import ClusterError
from cluster.patroni.config import POSTGRES_PORT, SUPERUSER
from cluster.substrates.abilities import inability, missing_abilities, name_of_ability
from cluster.substrates.kind import HowToLook
from cluster.substrates.open_ports import Hosts, OpenPort, OpenPorts, hosts_of
from cluster.topology.model import Topology
from cluster.whole import behind_bytes

SAID_SHOWN = 12
PRIMARY_TIMEOUT_S = 10.0
"""For a primary to be seen where a target needs one: longer than a look, shorter than a
failover."""
POLL_S = 0.1
_FAILED = (ChaosError, ClusterError, OSError, ExceptionGroup)


class ByHand:
    """What is asked of one lab.

    Args:
        folder: of the lab, with its plan; the listeners that the plan names are inherited.
        recorder: of the drill.
        topology: what is raised.
        how_to_look: called when the cluster is up: lets ``bascule enter`` in.
    """

    def __init__(
        self, folder: Path, recorder: Recorder, topology: Topology, how_to_look: HowToLook
    ) -> None:
        plan = read_plan(folder)
        if plan is None:
            raise NotRunningError(f"{folder} is the folder of no lab")
        self._plan = plan
        self._recorder = recorder
        self._topology = topology
        self._control = _inherited(plan.control_fd)
        self._listeners = {one.leads_to: _inherited(one.fd) for one in plan.ports}
        self._reins: Reins | None = None
        self._load = "not started"
        self._begun_s = 0.0
        self._changing = anyio.Lock()
        self._over = anyio.Event()
        self._how_to_look = how_to_look

    @property
    def _board(self) -> Board:
        return self._recorder.board

    async def serve(self) -> None:
        """Answer what is asked, until cancelled."""
        await channel.serve(self._control, self._handle)

    async def hold(self, reins: Reins) -> None:
        """Have the cluster until somebody asks for the end."""
        self._how_to_look(reins.cluster, Path(self._plan.run))
        async with anyio.create_task_group() as doors:
            doors.start_soon(OpenPorts(reins.cluster.substrate.console, self._doors(reins)).serve)
            if self._plan.load:
                await self._start_load(reins)
            else:
                self._recorder.phase(Phase.FAULT)
            self._begun_s = time.monotonic()
            self._reins = reins
            self._recorder.say("ready: it is yours until bascule down", loud=True)
            await self._over.wait()
            async with self._changing:
                self._reins = None
            doors.cancel_scope.cancel()

    def _doors(self, reins: Reins) -> Sequence[OpenPort]:
        def roles() -> Mapping[str, str]:
            return {name: node.role for name, node in self._board.nodes.items()}

        def with_power(node: str) -> Hosts:
            return lambda: [node] if node not in _dark(reins.schedule.broken) else []

        return [
            OpenPort(
                listener=listener,
                port=POSTGRES_PORT,
                hosts=with_power(leads_to)
                if leads_to in self._topology.nodes
                else hosts_of(roles, leads_to),
            )
            for leads_to, listener in self._listeners.items()
        ]

    async def _handle(self, request: Request) -> object:
        if request.op == "look":
            return await self._look()
        if request.op == "down":
            return self._down()
        reins = self._held()
        if request.op == "ready":
            ours = reins.cluster.credentials
            return Ready(
                superuser=SUPERUSER,
                superuser_password=ours.superuser,
                etcd_password=ours.etcd_patroni,
            )
        async with self._changing:
            reins = self._held()
            match request.op:
                case "strike":
                    return await self._strike(reins, request)
                case "heal":
                    return await self._heal(reins, request)
                case "load":
                    return await self._change_load(reins, request.target)
        raise FaultError(f"a lab does not know {request.op}")

    def _held(self) -> Reins:
        """The cluster, while it can be broken."""
        if self._reins is None:
            going = "it is going down" if self._over.is_set() else "it is still being raised"
            raise NotHealthyError(f"{going} (phase {self._board.phase})")
        return self._reins

    def _down(self) -> Done:
        self._over.set()
        return Done(detail=self._board.phase)

    # ---- how it is ----

    async def _look(self) -> LabView:
        board, now_s, reins = self._board, time.monotonic(), self._reins
        missing, behind = None, dict[str, int | None]()
        if reins is not None:
            members = await reins.cluster.members()
            behind = behind_bytes(members)
            missing = await reins.cluster.missing_of_whole(members)
        primaries = [name for name, node in board.nodes.items() if node.role == "primary"]
        return LabView(
            name=self._plan.name,
            topology=self._plan.topology,
            substrate=self._plan.substrate,
            run=self._plan.run,
            up_s=now_s - self._plan.started_s,
            phase=board.phase,
            phase_s=max(0.0, now_s - board.phase_since_s),
            ready=reins is not None,
            primary=primaries[0] if len(primaries) == 1 else None,
            leader=board.leader,
            missing=missing,
            load=self._load,
            sites={
                name: SiteView(
                    acknowledged=site.ok,
                    failed=site.fail,
                    in_doubt=site.info,
                    rate_per_s=site.rate_per_s,
                    silent_s=None if site.last_ok_s is None else max(0.0, now_s - site.last_ok_s),
                    node=site.node,
                )
                for name, site in board.sites.items()
            },
            nodes={
                name: NodeView(
                    site=self._topology.site_of(name).name,
                    role=node.role,
                    timeline=node.timeline,
                    sync=node.sync,
                    behind_bytes=behind.get(name),
                )
                for name, node in sorted(board.nodes.items(), key=self._place)
            },
            broken=tuple(
                BrokenView(
                    fault=fault.fault,
                    victim=fault.host,
                    words=fault.broken,
                    since_s=now_s - fault.struck_s,
                )
                for fault in board.faults
                if fault.is_there
            ),
            said=tuple(
                SaidView(at_s=note.t_s - board.started_s, text=note.text, loud=note.loud)
                for note in list(board.notes)[-SAID_SHOWN:]
            ),
        )

    def _place(self, item: tuple[str, object]) -> int:
        return self._topology.nodes.index(item[0])

    # ---- how to break it ----

    async def _strike(self, reins: Reins, request: Request) -> Done:
        at_s = max(0.0, time.monotonic() - self._begun_s)
        layout = layout_of(self._topology)
        step = read_step(request.fault, request.target, request.params, layout, at_s=at_s)
        kind = FAULTS[step.fault]
        needs = [name_of_ability(need) for need in kind.needs]
        if missing := missing_abilities(reins.cluster.substrate, needs):
            raise FaultError(f"{kind.key}: {inability(reins.cluster.substrate, missing)}")
        victims = await self._victims(reins, step)
        for victim in victims:
            if any(_is(stroke, step.fault, victim.name) for stroke in reins.schedule.broken):
                raise FaultError(kind.broken_already(victim.name, step.params), node=victim.name)
            if why := kind.impossible(step.params, self._topology, victim.hosts):
                raise FaultError(why, node=victim.name)
        before = reins.schedule.broken
        try:
            details = await reins.schedule.strike(step, victims)
        except _FAILED as error:
            raise FaultError(await self._take_back(reins, step, before, error)) from error
        return Done(
            hosts=tuple(host for victim in victims for host in victim.hosts),
            victims=tuple(victim.name for victim in victims),
            detail="; ".join(dict.fromkeys(details.values())),
        )

    async def _victims(self, reins: Reins, step: FaultStep) -> Sequence[Victim]:
        if step.target.needs_primary:
            with anyio.move_on_after(PRIMARY_TIMEOUT_S):
                while await reins.cluster.primary() is None:
                    await anyio.sleep(POLL_S)
        try:
            return await reins.schedule.victims(step)
        except ScheduleError as error:
            raise FaultError(str(error)) from error

    async def _take_back(
        self, reins: Reins, step: FaultStep, before: Sequence[Stroke], error: Exception
    ) -> str:
        """Undo a fault that did not come about, as far as it went; says what became of it."""
        why = "; ".join(words_of(error))
        self._recorder.say(f"{step.fault} did NOT strike: {why}", loud=True)
        half_struck = [stroke for stroke in reins.schedule.broken if stroke not in before]
        if not half_struck:
            return f"{step.fault} did not strike: {why}"
        try:
            await reins.schedule.heal(half_struck)
        except _FAILED as also:
            left = "; ".join(words_of(also))
            return f"{step.fault} struck only half: {why}\nand could not be undone: {left}"
        return f"{step.fault} did not strike, and was undone: {why}"

    async def _heal(self, reins: Reins, request: Request) -> Done:
        broken = reins.schedule.broken
        asked = [
            stroke
            for stroke in reversed(broken)
            if request.fault in ("", stroke.kind.key) and request.host in ("", stroke.victim.name)
        ]
        if not asked:
            what = "; ".join(str(stroke) for stroke in broken) or "nothing is"
            if not request.fault:
                return Done(detail="nothing was broken")
            on = f" on {request.host}" if request.host else ""
            raise FaultError(f"no {request.fault}{on} is broken; broken: {what}")
        try:
            words = await reins.schedule.heal(asked)
        except _FAILED as error:
            raise FaultError("; ".join(words_of(error))) from error
        return Done(victims=tuple(stroke.victim.name for stroke in asked), detail="; ".join(words))

    # ---- the load ----

    async def _start_load(self, reins: Reins) -> None:
        self._load = "running"
        await reins.start_load()

    async def _change_load(self, reins: Reins, what: str) -> Done:
        match what, self._load:
            case "start", "not started":
                await self._start_load(reins)
                return Done(detail="the load runs, and its steady state has been measured")
            case "stop", "running":
                self._load = "stopped"
                await reins.stop_load()
                return Done(detail="the load has ended; the service is judged up to now")
            case "start", "stopped":
                raise FaultError(
                    "the load was stopped, and the service is judged up to there: it begins again"
                    " with a new lab (bascule down, bascule up)"
                )
            case "start", _:
                return Done(detail="the load runs already")
        return Done(detail="no load runs")


def _inherited(descriptor: int) -> socket.socket:
    """A listener that this process inherited, and that ends with it."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    listener.set_inheritable(False)
    return listener


def _is(stroke: Stroke, fault: str, victim: str) -> bool:
    return (stroke.kind.key, stroke.victim.name) == (fault, victim)


def _dark(broken: Sequence[Stroke]) -> frozenset[str]:
    """The hosts without power."""
    return frozenset(
        host for stroke in broken if stroke.effect == "power-off" for host in stroke.victim.hosts
    )


if __name__ == "__main__":
    sys.exit(process.main(ByHand))
