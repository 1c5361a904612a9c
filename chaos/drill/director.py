"""The life of a drill: boot, preflight, steady state, faults, heal, recovery, quiesce, final read.

The director owns every task and process of the drill, and only gathers evidence: it judges
nothing, and does not know on which substrate it is. Whatever ends it, what it knows by then is in
the run folder.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel

from chaos.drill import ground
from chaos.drill.board import Board
from chaos.drill.loads import Loads, LoadSettings
from chaos.drill.observer import Observer
from chaos.drill.recorder import Recorder
from chaos.drill.schedule import Schedule
from chaos.errors import AbilityError, PreflightError
from chaos.evidence.records import format_lsn
from chaos.evidence.run import RunInfo
from chaos.faults import FAULTS, Stage
from cluster.boot import log_tail
from cluster.cluster import PatroniCluster
from cluster.errors import BootError
from cluster.raiser import Raiser
from cluster.substrate import Substrate, UnitExit, missing_abilities
from cluster.topology.model import Topology

Companion = Callable[[PatroniCluster], Coroutine[None, None, None]]
"""What somebody does with the cluster of a drill."""

FIRST_WRITE_TIMEOUT_S = 20.0
"""From the start of a load process to its first acknowledged write: a second when all is well."""
HEAL_TIMEOUT_S = 20.0
"""For healing on the way out, after an error or an interruption."""


class Director:
    """Runs one drill.

    Args:
        info: what was asked.
        topology: what to raise.
        raiser: raises it, on the substrate of its kind.
        folder: the run folder.
        recorder: takes the evidence.
    """

    def __init__(
        self,
        info: RunInfo,
        topology: Topology,
        raiser: Raiser,
        folder: Path,
        recorder: Recorder,
    ) -> None:
        self._info = info
        self._topology = topology
        self._raiser = raiser
        self._folder = folder
        self._recorder = recorder
        self._password = secrets.token_urlsafe(18)
        self._booting = anyio.CancelScope()
        self._died_at_boot: UnitExit | None = None

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
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        self._recorder.phase("boot")
        sites = self._raiser.sites(self._topology, on_exit=self._unit_exit)
        self._require_abilities(sites)
        async with sites as substrate:
            self._boot_step("network", begin_s)
            async with AsyncExitStack() as closing:
                company = await closing.enter_async_context(anyio.create_task_group())
                # Nothing is written into the evidence of a drill that is done.
                async with anyio.create_task_group() as ticking:
                    ticking.start_soon(self._recorder.tick)
                    cluster = await self._raise(substrate, logs, begin_s)
                    closing.push_async_callback(_close, cluster)
                    await self._drill(cluster, lambda: _start(company, beside, cluster))
                    ticking.cancel_scope.cancel()
                if afterwards is not None:
                    await afterwards(cluster)
                company.cancel_scope.cancel()

    def _require_abilities(self, sites: object) -> None:
        needed = [need for step in self._info.scenario.faults for need in FAULTS[step.fault].needs]
        missing = missing_abilities(sites, needed)
        if missing:
            raise AbilityError(f"this substrate cannot {', '.join(missing)}")

    async def _raise(self, substrate: Substrate, logs: Path, begin_s: float) -> PatroniCluster:
        """Raise the cluster; a process that dies meanwhile ends the attempt at once."""
        with self._booting:
            return await self._raiser.cluster(
                substrate, lambda step: self._boot_step(step, begin_s)
            )
        # Whoever stops the drill takes the processes down with it: then that is the reason.
        await anyio.lowlevel.checkpoint()
        died = self._died_at_boot
        assert died is not None
        tail = log_tail(logs / f"{died.host}.{died.unit}.log")
        words = f"{died.unit} on {died.host} ended with {died.status} while the cluster was raised"
        raise BootError(f"{words}\n{tail}", host=died.host)

    def _boot_step(self, step: str, begin_s: float) -> None:
        elapsed_s = time.monotonic() - begin_s
        self._recorder.event("boot", step=step, elapsed_s=round(elapsed_s, 3))
        self._recorder.say(f"{BOOT_WORDS[step]} after {elapsed_s:.1f} s")

    def _unit_exit(self, unit: UnitExit) -> None:
        self._recorder.unit_exit(unit)
        if self._board.phase == "boot" and not unit.expected:
            self._died_at_boot = unit
            self._booting.cancel()

    async def _drill(self, cluster: PatroniCluster, accompany: Callable[[], None]) -> None:
        observer = Observer(cluster, self._recorder)
        loads = Loads(cluster, self._folder, self._board)
        schedule = Schedule(self._info.scenario, Stage(cluster=cluster), self._recorder)
        async with anyio.create_task_group() as watchers:
            watchers.start_soon(observer.run)
            watchers.start_soon(loads.follow)
            try:
                await self._preflight(cluster)
                accompany()
                await self._steady(loads)
                await self._faults(loads, schedule)
                await self._recovery(cluster, schedule)
                await self._quiesce(loads)
                await self._final_read(cluster, loads)
                self._recorder.phase("done")
            finally:
                # Whatever happened: nothing of ours stays broken.
                with anyio.move_on_after(HEAL_TIMEOUT_S, shield=True):
                    await schedule.heal_all()
                watchers.cancel_scope.cancel()

    async def _preflight(self, cluster: PatroniCluster) -> None:
        """Refuse to break what is not whole; write down the settings that are in force."""
        self._recorder.phase("preflight")
        missing = await cluster.missing_of_whole()
        if missing is not None:
            raise PreflightError(f"the cluster is not whole before the drill: {missing}")
        workload = self._info.scenario.workload
        standbys = await ground.prepare(cluster, self._password, workload)
        primary = await cluster.primary()
        found = None if primary is None else await cluster.rest[primary].configuration()
        if found is None:
            raise PreflightError("the primary does not answer GET /config")
        self._recorder.event(
            "settings",
            ttl_s=found.ttl,
            loop_wait_s=found.loop_wait,
            retry_timeout_s=found.retry_timeout,
            synchronous_mode=str(found.synchronous_mode).lower(),
            synchronous_standby_names=standbys,
        )

    async def _steady(self, loads: Loads) -> None:
        """Begin the load; the steady state begins when every site is served."""
        settings = self._info.settings
        begin_s = time.monotonic()
        await loads.start(
            LoadSettings(
                rate_per_s=float(str(settings["rate_per_s"])),
                workers=int(str(settings["workers"])),
                seed=self._info.seed,
                deadline_s=float(str(settings["deadline_s"])),
                durability=self._topology.cluster.durability,
                workload=self._info.scenario.workload,
                password=self._password,
            )
        )
        unserved = await loads.wait_served_since(begin_s, timeout_s=FIRST_WRITE_TIMEOUT_S)
        if unserved:
            raise PreflightError(f"no write was acknowledged in {', '.join(unserved)}")
        self._recorder.phase("steady")
        self._recorder.say(f"steady state, measured for {self._info.scenario.steady_s:g} s")
        await anyio.sleep(self._info.scenario.steady_s)

    async def _faults(self, loads: Loads, schedule: Schedule) -> None:
        """Strike, and hold out as long as the scenario says."""
        scenario = self._info.scenario
        self._recorder.phase("fault")
        begin_s = time.monotonic()
        await schedule.run()
        if scenario.heal_when_service_is_back:
            limit_s = scenario.expect.rto_s_max
            unserved = await loads.wait_served_since(schedule.last_strike_s, timeout_s=limit_s)
            if unserved:
                words = f"not served {limit_s:g} s after the fault: {', '.join(unserved)}"
                self._recorder.say(words, loud=True)
            else:
                back_s = time.monotonic() - schedule.last_strike_s
                self._recorder.say(f"every site is served again {back_s:.1f} s after the fault")
        await anyio.sleep(max(0.0, begin_s + scenario.fault_s - time.monotonic()))

    async def _recovery(self, cluster: PatroniCluster, schedule: Schedule) -> None:
        """Heal everything, and demand that the cluster becomes whole."""
        scenario = self._info.scenario
        self._recorder.phase("recovery")
        begin_s = time.monotonic()
        await schedule.heal_all()
        missing = await cluster.wait_whole(timeout_s=scenario.recovery_s_max)
        if missing is None:
            primary = await cluster.primary()
            member = None if primary is None else await cluster.rest[primary].member()
            timeline = None if member is None else member.timeline
            self._recorder.event("settled", timeline=timeline)
            took_s = time.monotonic() - begin_s
            self._recorder.say(f"the cluster is whole again after {took_s:.1f} s")
        else:
            self._recorder.event("not-whole", missing=missing)
            self._recorder.say(f"the cluster is NOT whole: {missing}", loud=True)
        await anyio.sleep(scenario.after_heal_s)

    async def _quiesce(self, loads: Loads) -> None:
        self._recorder.phase("quiesce")
        await loads.stop()

    async def _final_read(self, cluster: PatroniCluster, loads: Loads) -> None:
        """What the workload left on every node, and the history of the timelines."""
        self._recorder.phase("final-read")
        host = loads.reader_host
        workload = self._info.scenario.workload
        await ground.start_final_read(cluster, host, self._folder, self._password, workload)
        await cluster.substrate.wait_unit(host, ground.FINAL_READ_UNIT)
        for entry in await cluster.history():
            self._recorder.event(
                "timeline",
                timeline=entry.timeline,
                end_lsn=format_lsn(entry.end_lsn),
                reason=entry.reason,
            )


def _start(company: anyio.abc.TaskGroup, beside: Companion | None, cluster: PatroniCluster) -> None:
    if beside is not None:
        company.start_soon(beside, cluster)


async def _close(cluster: PatroniCluster) -> None:
    with anyio.CancelScope(shield=True):
        await cluster.aclose()


BOOT_WORDS = {
    "network": "sites and hosts are up",
    "dcs": "etcd has a quorum",
    "primary": "there is a primary",
    "replicas": "every replica streams",
    "protected": "the durability asked for is in force",
}
