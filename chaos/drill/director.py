"""The life of a drill: boot, preflight, steady state, faults, heal, recovery, quiesce, final read.

The director owns every task and process of the drill, and only gathers evidence: it judges
nothing, and does not depend on the substrate. However it ends, the evidence gathered by then is in
the run folder.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.abc

from chaos.drill import setup
from chaos.drill.loads import ROLE, Loads, LoadSettings, start_loads_ahead
from chaos.drill.observer import ClusterObserver
from chaos.drill.recorder import Recorder
from chaos.drill.schedule import Schedule
from chaos.drill.wan import measure_wan
from chaos.drill.witnesses import WitnessObserver, start_witnesses
from chaos.errors import AbilityError, PreflightError
from chaos.evidence.events import (
    BootStepDone,
    ClusterNotWhole,
    ClusterSettled,
    Phase,
    SettingsFound,
    TimelineEnded,
)
from chaos.evidence.fields import Fields
from chaos.evidence.run import RunInfo
from chaos.faults.base import Stage
from chaos.faults.registry import FAULTS
from chaos.live.board import Board
from chaos.probing.prober import AccessProber, probing
from cluster.boot import BootWatch
from cluster.raised import RaisedCluster
from cluster.substrates.abilities import inability, missing_abilities, name_of_ability
from cluster.substrates.base import DiskBreakable, ProcessExit, Substrate
from cluster.substrates.raiser import Raiser
from cluster.topology.model import Topology
from cluster.topology.settings import why_idle
from cluster.whole import behind_bytes_max, find_primary, furthest_behind_bytes
from replication.wire.wal import format_lsn

Companion = Callable[[RaisedCluster], Coroutine[None, None, None]]
"""What a background task does with the cluster of a drill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reins:
    """What somebody holds who breaks a cluster by hand, in place of a scenario's schedule."""

    cluster: RaisedCluster
    schedule: Schedule
    loads: Loads
    start_load: Callable[[], Awaitable[None]]
    """Begins the load, and measures its steady state."""
    stop_load: Callable[[], Awaitable[None]]
    """Ends it for good."""


Hands = Callable[[Reins], Awaitable[None]]
"""Breaks a cluster by hand; returns when that is over."""

FIRST_WRITE_TIMEOUT_S = 60.0
"""From the start of a load process to its first acknowledged write: a second when all is well, and
more than twenty where containers share two cores with other drills."""
HEAL_TIMEOUT_S = 20.0
"""For healing on the way out, after an error or an interruption."""
HISTORY_LOOPS = 3
"""So many of Patroni's loops after a promotion, the DCS says where the last timeline ended (``Ha``
writes it in the loop after the promotion; the others read it in their next)."""


class Director:
    """Runs one drill.

    Args:
        info: what was asked.
        topology: what to raise.
        raiser: raises it, on the substrate of its kind.
        folder: the run folder.
        recorder: takes the evidence.
        hands: have the fault phase, where the cluster is broken by hand; else the schedule of the
            scenario has it.
    """

    def __init__(  # noqa: PLR0913 (what a drill consists of)
        self,
        info: RunInfo,
        topology: Topology,
        raiser: Raiser,
        folder: Path,
        recorder: Recorder,
        *,
        hands: Hands | None = None,
    ) -> None:
        self._hands = hands
        self._info = info
        self._topology = topology
        self._raiser = raiser
        self._folder = folder
        self._recorder = recorder
        self._password = secrets.token_urlsafe(18)
        self._boot = BootWatch(folder / "logs")
        self._is_read_ahead = False

    @property
    def _board(self) -> Board:
        return self._recorder.board

    async def run(
        self, *, beside: Companion | None = None, afterwards: Companion | None = None
    ) -> None:
        """Run the drill to its end.

        Args:
            beside: runs from the end of the preflight on, until the sites go down.
            afterwards: awaited when the drill is done, while the sites are still up.

        Raises:
            ClusterError: the cluster could not be raised, or a fault not be brought about.
            ChaosError: the cluster was not fit for the drill.
        """
        begin_s = time.monotonic()
        (self._folder / "logs").mkdir(exist_ok=True)
        self._recorder.phase(Phase.BOOT)
        sites = self._raiser.sites(self._topology, on_exit=self._unit_exit)
        self._require_abilities(sites)
        async with sites as substrate:
            self._boot_step("network", begin_s)
            async with AsyncExitStack() as closing:
                company = await closing.enter_async_context(anyio.create_task_group())
                # Nothing is written into the evidence of a drill that is done.
                async with anyio.create_task_group() as ticking:
                    ticking.start_soon(self._recorder.tick)
                    cluster = await self._raise(substrate, begin_s)
                    closing.push_async_callback(_close, cluster)
                    await self._drill(cluster, lambda: _start(company, beside, cluster))
                    ticking.cancel_scope.cancel()
                if afterwards is not None:
                    await afterwards(cluster)
                company.cancel_scope.cancel()

    async def run_in(self, cluster: RaisedCluster, *, are_loads_ahead: bool) -> None:
        """Run the drill to its end on a cluster that stands already, and leave it standing.

        Args:
            cluster: is whole.
            are_loads_ahead: the processes of the load were started ahead.

        Raises:
            ClusterError: a fault could not be brought about.
            ChaosError: the cluster was not fit for the drill.
        """
        self._recorder.phase(Phase.BOOT)
        self._require_abilities(cluster.substrate)
        async with anyio.create_task_group() as ticking:
            ticking.start_soon(self._recorder.tick)
            await self._drill(cluster, lambda: None, are_loads_ahead=are_loads_ahead)
            ticking.cancel_scope.cancel()

    def _require_abilities(self, sites: object) -> None:
        needs = [need for step in self._info.scenario.faults for need in FAULTS[step.fault].needs]
        missing = missing_abilities(sites, [name_of_ability(need) for need in needs])
        if missing:
            raise AbilityError(inability(sites, missing))

    async def _raise(self, substrate: Substrate, begin_s: float) -> RaisedCluster:
        """Raise the cluster; a process that dies meanwhile ends the attempt at once."""
        done = partial(self._boot_step, begin_s=begin_s)
        return await self._boot.boot(self._raiser.cluster(substrate, done))

    def _boot_step(self, step: str, begin_s: float) -> None:
        now_s = time.monotonic()
        elapsed_s = now_s - begin_s
        self._recorder.event(BootStepDone(t_s=now_s, step=step, elapsed_s=round(elapsed_s, 3)))
        self._recorder.say(f"{BOOT_WORDS[step]} after {elapsed_s:.1f} s")

    def _unit_exit(self, unit: ProcessExit) -> None:
        self._recorder.unit_exit(unit)
        self._boot.unit_exited(unit)

    async def _drill(
        self,
        cluster: RaisedCluster,
        accompany: Callable[[], None],
        *,
        are_loads_ahead: bool = False,
    ) -> None:
        observer = ClusterObserver(cluster, self._recorder)
        loads = Loads(cluster, self._folder, self._board)
        loads.are_ahead = are_loads_ahead
        stage = Stage(cluster=cluster, folder=self._folder)
        schedule = Schedule(self._info.scenario, stage, self._recorder, self._info.seed)
        access = self._info.scenario.access
        async with (
            probing(cluster, access, self._folder, self._recorder.say) as prober,
            anyio.create_task_group() as watchers,
        ):
            watchers.start_soon(observer.run)
            watchers.start_soon(loads.follow)
            try:
                if self._hands is None and not loads.are_ahead:
                    loads.are_ahead = await start_loads_ahead(cluster)
                await self._preflight(cluster, prober)
                if self._topology.cluster.witness:
                    watchers.start_soon(WitnessObserver(cluster, self._recorder).run)
                    await start_witnesses(cluster, self._folder, self._recorder)
                    if idle := why_idle(self._topology.cluster):
                        self._recorder.say(f"the witnesses stand aside: {idle}", loud=True)
                accompany()
                if self._hands is None:
                    await self._steady(cluster, loads)
                    if prober is not None:
                        await prober.round("before")
                        watchers.start_soon(prober.watch)
                    await self._faults(loads, schedule)
                    if prober is not None:
                        await prober.round("promoted")
                else:
                    await self._by_hand(self._hands, cluster, loads, schedule)
                await self._recovery(cluster, loads, schedule)
                if prober is not None:
                    prober.stop()
                    await prober.round("rejoined")
                await self._quiesce(loads)
                await self._final_read(cluster, loads)
                if prober is not None:
                    await prober.read_trails()
                    prober.close()
                self._recorder.phase(Phase.DONE)
            finally:
                # In every case: nothing that we broke stays broken.
                with anyio.move_on_after(HEAL_TIMEOUT_S, shield=True):
                    await schedule.heal_all()
                watchers.cancel_scope.cancel()

    async def _preflight(self, cluster: RaisedCluster, prober: AccessProber | None) -> None:
        """Refuse to break what is not whole; write down the settings that are in force."""
        self._recorder.phase(Phase.PREFLIGHT)
        missing = await cluster.wait_whole(timeout_s=setup.LOOK_TIMEOUT_S)
        if missing is not None:
            raise PreflightError(f"the cluster is not whole before the drill: {missing}")
        workload = self._info.scenario.workload
        standbys = await setup.prepare(cluster, self._password, workload)
        await cluster.admit_through_proxies({ROLE: self._password})
        if prober is not None:
            await prober.prepare()
        if isinstance(cluster.substrate, DiskBreakable):
            # As on machines that have stood for a while: only what the drill writes is at stake.
            await cluster.substrate.sync_disks()
        primary = await cluster.wait_primary(timeout_s=setup.LOOK_TIMEOUT_S)
        found = None if primary is None else await cluster.rest[primary].configuration()
        if found is None:
            raise PreflightError("the primary does not answer GET /config")
        self._recorder.event(
            SettingsFound(
                t_s=time.monotonic(),
                ttl_s=found.ttl,
                loop_wait_s=found.loop_wait,
                retry_timeout_s=found.retry_timeout,
                synchronous_mode=str(found.synchronous_mode).lower(),
                synchronous_standby_names=standbys,
            )
        )

    async def _steady(self, cluster: RaisedCluster, loads: Loads) -> None:
        """Begin the load; the steady state begins when every site is served."""
        asked = Fields(self._info.settings)
        begin_s = time.monotonic()
        await loads.start(
            LoadSettings(
                rate_per_s=asked.number("rate_per_s"),
                workers=asked.integer("workers"),
                seed=self._info.seed,
                deadline_s=asked.number("deadline_s"),
                durability=self._topology.cluster.durability,
                workload=self._info.scenario.workload,
                shared_every=asked.integer("shared_every"),
                reads_per_s=asked.number("reads_per_s"),
                client="psycopg" if asked.text_or_none("client") == "psycopg" else "storage",
                through=self._info.scenario.through,
                password=self._password,
            )
        )
        unserved = await loads.wait_served_since(begin_s, timeout_s=FIRST_WRITE_TIMEOUT_S)
        if unserved:
            raise PreflightError(f"no write was acknowledged in {', '.join(unserved)}")
        self._recorder.phase(Phase.STEADY)
        self._recorder.say(f"steady state, measured for {self._info.scenario.steady_s:g} s")
        async with anyio.create_task_group() as meanwhile:
            meanwhile.start_soon(measure_wan, cluster, self._recorder)
            await anyio.sleep(self._info.scenario.steady_s)

    async def _faults(self, loads: Loads, schedule: Schedule) -> None:
        """Strike, and hold out as long as the scenario says."""
        scenario = self._info.scenario
        self._recorder.phase(Phase.FAULT)
        begin_s = time.monotonic()
        await schedule.run()
        if scenario.heal_when_service_is_back:
            limit_s = scenario.expect.rto_s_max
            # Where no site can be served, all are waited for: a drill may refute that.
            due = schedule.sites_due
            unserved = await loads.wait_served_since(
                schedule.last_strike_s, timeout_s=limit_s, sites=due
            )
            after = f"{time.monotonic() - schedule.last_begun_s:.1f} s after the fault"
            if unserved:
                words = f"not served {after}: {', '.join(unserved)}"
                self._recorder.say(words, loud=True)
            else:
                is_every = len(due) in {0, len(self._board.sites)}
                who = "every site is" if is_every else "every site that can be served is"
                self._recorder.say(f"{who} served again {after}")
        await anyio.sleep(max(0.0, begin_s + scenario.fault_s - time.monotonic()))

    async def _by_hand(
        self, hands: Hands, cluster: RaisedCluster, loads: Loads, schedule: Schedule
    ) -> None:
        """Give the cluster out of hand until they have had enough."""

        async def start_load() -> None:
            await self._steady(cluster, loads)
            self._recorder.phase(Phase.FAULT)

        await hands(
            Reins(
                cluster=cluster,
                schedule=schedule,
                loads=loads,
                start_load=start_load,
                stop_load=lambda: self._quiesce(loads),
            )
        )

    async def _recovery(self, cluster: RaisedCluster, loads: Loads, schedule: Schedule) -> None:
        """Heal everything; the cluster must become whole and serve every site again.

        Whole alone does not mean served: after a silent cut, TCP sends again only when its timer
        runs out, which doubles with every try (RFC 6298, 5.5). A replica that "streams" may so
        confirm nothing for as long again as the cut lasted.
        """
        scenario = self._info.scenario
        self._recorder.phase(Phase.RECOVERY)
        begin_s = time.monotonic()
        await schedule.heal_all()
        healed_s = time.monotonic()
        missing = await cluster.wait_whole(timeout_s=scenario.recovery_s_max)
        if missing is None:
            members = await cluster.members()
            primary = find_primary(members)
            member = None if primary is None else members[primary]
            self._recorder.event(
                ClusterSettled(
                    t_s=time.monotonic(),
                    timeline=None if member is None else member.timeline,
                    behind_bytes=furthest_behind_bytes(members),
                    behind_bytes_max=behind_bytes_max(self._topology.cluster),
                )
            )
            took_s = time.monotonic() - begin_s
            self._recorder.say(f"the cluster is whole again after {took_s:.1f} s")
        else:
            self._recorder.event(ClusterNotWhole(t_s=time.monotonic(), missing=missing))
            self._recorder.say(f"the cluster is NOT whole: {missing}", loud=True)
        if not loads.is_running:  # by hand it can be ended before
            return
        left_s = begin_s + scenario.recovery_s_max - time.monotonic()
        unserved = await loads.wait_served_since(healed_s, timeout_s=max(0.0, left_s))
        if unserved:
            self._recorder.say(f"still not served: {', '.join(unserved)}", loud=True)
        if missing is None:
            self._is_read_ahead = await setup.start_final_read_ahead(cluster, loads.reader_host)
        await anyio.sleep(scenario.after_heal_s)

    async def _quiesce(self, loads: Loads) -> None:
        """End the load; no effect where that was done before."""
        if not loads.is_running:
            return
        self._recorder.phase(Phase.QUIESCE)
        await loads.stop()

    async def _final_read(self, cluster: RaisedCluster, loads: Loads) -> None:
        """What the workload left on every node, and the history of the timelines."""
        self._recorder.phase(Phase.FINAL_READ)
        host = loads.reader_host
        workload = self._info.scenario.workload
        await setup.start_final_read(
            cluster,
            host,
            self._folder,
            self._password,
            workload,
            is_ahead=self._is_read_ahead,
        )
        await cluster.substrate.wait_unit(host, setup.FINAL_READ_UNIT)
        members = await cluster.members()
        timeline = max((one.timeline or 0 for one in members.values() if one), default=0)
        patience_s = HISTORY_LOOPS * self._topology.cluster.loop_wait_s
        for entry in await cluster.history_up_to(timeline, timeout_s=patience_s):
            self._recorder.event(
                TimelineEnded(
                    t_s=time.monotonic(),
                    timeline=entry.timeline,
                    end_lsn=format_lsn(entry.end_lsn),
                    reason=entry.reason,
                )
            )


def _start(company: anyio.abc.TaskGroup, beside: Companion | None, cluster: RaisedCluster) -> None:
    if beside is not None:
        company.start_soon(beside, cluster)


async def _close(cluster: RaisedCluster) -> None:
    with anyio.CancelScope(shield=True):
        await cluster.aclose()


BOOT_WORDS = {
    "network": "sites and hosts are up",
    "dcs": "etcd has a quorum",
    "primary": "there is a primary",
    "replicas": "every replica streams",
    "protected": "the durability asked for is in force",
}
