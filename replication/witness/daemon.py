"""A witness at work: it observes, has ``decide`` judge, and does what was decided.

One loop. While all is well it reads etcd every ``READ_INTERVAL_S`` and judges every
``LOOK_INTERVAL_S``; while it suspects the primary it casts its vote, and reads and judges as fast
as etcd answers. A witness that stood still itself (a freeze, a busy machine) begins its watch
again: its own silence is not the member's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.abc

from replication.observability.events import Complaints
from replication.patroni.client import Http
from replication.witness.config import WitnessConfig
from replication.witness.dcs import WitnessDcs
from replication.witness.decide import decide
from replication.witness.etcd import EtcdUnanswered
from replication.witness.keys import Reading
from replication.witness.metrics import WitnessMetrics
from replication.witness.model import (
    Decision,
    EndLease,
    MemberHeard,
    Memory,
    Nothing,
    Observed,
    PastAct,
    Suspect,
    Vote,
)
from replication.witness.nudge import NUDGE_AFTER_S, NUDGE_AGAIN_AFTER_S, Nudger
from replication.witness.suspicion import POSTMASTER_GONE
from replication.witness.watcher import Watcher

_log = logging.getLogger("replication.witness")

LOOK_INTERVAL_S = 0.04
"""Between two judgements: a small part of the shortest patience."""

READ_INTERVAL_S = 0.2
"""Between two reads of etcd while all is well: two of them fit into the age that ``decide`` allows
(``dcs_age_s_max``)."""

SUSPICIOUS_READ_INTERVAL_S = 0.02
RENEW_S = 0.5
"""Between two casts of the same vote: it lives for 2 s (``votes_expire_s``)."""

ALIVE_INTERVAL_S = 0.5
ETCD_UNREAD = "etcd-unread"
LEASE_GONE = "lease not found"
"""etcd's words (``rpctypes.ErrGRPCLeaseNotFound``)."""

SHOW_INTERVAL_S = 1.0
TICK_S, STALL_S = 0.04, 0.15
"""A loop that came back so late has stood still: longer than a busy machine makes it wait, shorter
than the shortest patience."""

TOLD_STALL_S = 1.0
LEAVE_DEADLINE_S = 1.0


class Witness:
    """One witness.

    Args:
        config: of the witness.
        metrics: keeps its numbers.
        is_dry: it only says what it would have done.
        clock, wall_clock: monotonic seconds, and seconds since 1970.
    """

    def __init__(
        self,
        config: WitnessConfig,
        metrics: WitnessMetrics,
        *,
        is_dry: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        context = config.rest_ssl_context()
        self._settings = config.settings
        self._metrics = metrics
        self._is_dry = is_dry
        self._clock = clock
        self._wall_clock = wall_clock
        self._http = Http(context)
        self._watcher = Watcher(self._http, clock=clock)
        self._nudger = Nudger(config.rest, context)
        self._dcs = WitnessDcs(
            config.dcs, config.settings, is_dry=is_dry, clock=clock, wall_clock=wall_clock
        )
        self._renew = anyio.Event()
        self._complaints = Complaints(_log, over="answers again")
        self._reading: Reading | None = None
        self._memory = Memory()
        self._ballots = Ballots(config.settings.votes_expire_s)
        self._ticked_s = clock()
        self._voted_s: float | None = None
        self._suspected: tuple[str, int] | None = None
        self._refusal: str | None = None
        self.looked_s = self._started_s = clock()
        """When it last judged."""

    async def run(self) -> None:
        """Watch and act until cancelled; takes back its votes at the end."""
        _log.info(
            "event=start site=%s sites=%s mode=%s",
            self._settings.site,
            ",".join(sorted(self._settings.sites)),
            "dry-run" if self._is_dry else "act",
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tick)
                tasks.start_soon(self._stay_alive)
                tasks.start_soon(self._show)
                await self._watch(tasks)
        finally:
            with anyio.move_on_after(LEAVE_DEADLINE_S, shield=True):
                try:
                    await self._dcs.leave()
                except EtcdUnanswered as error:
                    _log.warning("event=leave etcd=%s", error)
                await self._dcs.aclose()
                await self._nudger.aclose()
                await self._http.aclose()
            _log.info("event=stop")

    async def _tick(self) -> None:
        while True:
            self._see_stall()
            await anyio.sleep(TICK_S)

    def _see_stall(self) -> None:
        """Begin the watch again if this process stood still; called before each judgement too."""
        now_s = self._clock()
        late_s = now_s - self._ticked_s
        self._ticked_s = now_s
        if late_s > STALL_S:
            if late_s > TOLD_STALL_S:
                _log.warning("event=stall late_s=%.3f", late_s)
            self._metrics.stalled()
            self._watcher.begin_again()

    async def _show(self) -> None:
        """Keep the gauges fresh."""
        while True:
            now_s, reading = self._clock(), self._reading
            self._metrics.looked(
                {one.name: now_s - _last_answer_s(one) for one in self._watcher.heard},
                now_s - (reading.view.read_s if reading else self._started_s),
                len(reading.alive) if reading else 0,
            )
            await anyio.sleep(SHOW_INTERVAL_S)

    async def _stay_alive(self) -> None:
        while True:
            try:
                reading = self._reading
                await self._dcs.stay_alive(
                    is_told=reading is None or self._settings.name in reading.alive
                )
            except EtcdUnanswered as error:
                self._complaints.about("etcd", str(error))
            with anyio.move_on_after(ALIVE_INTERVAL_S):
                await self._renew.wait()
            self._renew = anyio.Event()

    async def _watch(self, tasks: anyio.abc.TaskGroup) -> None:
        while True:
            suspicious = self._suspected is not None
            interval_s = SUSPICIOUS_READ_INTERVAL_S if suspicious else READ_INTERVAL_S
            read_s = self._reading.view.read_s if self._reading else None
            if read_s is None or self._clock() - read_s >= interval_s:
                await self._read(tasks, suspicious=suspicious)
            decision = self._judge()
            await self._do(decision, tasks)
            if not isinstance(decision, Suspect):
                await anyio.sleep(LOOK_INTERVAL_S)
            elif not suspicious:
                continue  # read the votes of the others at once
            else:
                await anyio.sleep(SUSPICIOUS_READ_INTERVAL_S)

    async def _read(self, tasks: anyio.abc.TaskGroup, *, suspicious: bool) -> None:
        is_first = self._reading is None
        try:
            self._reading = await self._dcs.read(hurried=suspicious)
        except EtcdUnanswered as error:
            self._complaints.about("etcd", str(error))
            return
        self._complaints.over("etcd")
        self._watcher.follow(self._reading.members, tasks)
        self._remember(self._reading, is_first=is_first)
        await self._forget_strays(self._reading)

    def _remember(self, reading: Reading, *, is_first: bool) -> None:
        """Learn of the acts of others, and forget old ones.

        An act that appears while this witness watches has just been done; only of one that was
        there before does the other's clock tell.
        """
        now_s, wall_s = self._clock(), self._wall_clock()
        known = {act.leader_revision for act in self._memory.acts}
        acts = [
            PastAct(
                leader=act.leader,
                leader_revision=act.leader_revision,
                at_s=now_s - max(0.0, wall_s - act.wall_s) if is_first else now_s,
            )
            for act in reading.acts
            if act.leader_revision not in known
        ]
        kept = [
            act
            for act in (*self._memory.acts, *acts)
            if act.at_s > now_s - self._settings.act_memory_s
        ]
        self._memory = Memory(acts=tuple(kept))

    def _judge(self) -> Decision:
        self._see_stall()
        now_s = self._clock()
        self.looked_s = now_s
        reading, heard = self._reading, self._watcher.heard
        votes = () if reading is None else self._ballots.count(reading, now_s)
        observed = Observed(
            now_s=now_s, members=heard, dcs=reading.view if reading else None, votes=votes
        )
        return decide(observed, self._settings, self._memory)

    async def _do(self, decision: Decision, tasks: anyio.abc.TaskGroup) -> None:
        match decision:
            case Nothing():
                self._note_refusal(decision)
                if decision.refusal != ETCD_UNREAD:  # what is out expires, and is not counted
                    await self._take_back()
            case Suspect():
                await self._suspect(decision)
            case EndLease():
                self._refusal = None
                await self._end_lease(decision, tasks)

    def _note_refusal(self, decision: Nothing) -> None:
        """Log and count a refusal when it begins, not at every look."""
        if decision.refusal != self._refusal and decision.refusal is not None:
            _log.info('event=refuse refusal=%s reason="%s"', decision.refusal, decision.reason)
            self._metrics.refused(decision.refusal)
        self._refusal = decision.refusal

    async def _suspect(self, suspect: Suspect) -> None:
        self._refusal = None
        about = (suspect.leader, suspect.leader_revision)
        now_s = self._clock()
        if about != self._suspected:
            await self._take_back()
            self._suspected = about
            _log.warning(
                'event=suspect leader=%s revision=%d case=%s reason="%s"',
                suspect.leader,
                suspect.leader_revision,
                suspect.case,
                suspect.reason,
            )
            self._metrics.suspected(suspect.case)
        if self._voted_s is not None and now_s - self._voted_s < RENEW_S:
            return
        try:
            await self._dcs.vote(suspect)
        except EtcdUnanswered as error:
            self._complaints.about("etcd", str(error))
            if LEASE_GONE in str(error):  # etcd was away for longer than it lives
                self._renew.set()
            return
        self._voted_s = now_s
        self._metrics.voted()

    async def _forget_strays(self, reading: Reading) -> None:
        """Delete own votes about anything but what is suspected: a slow etcd may have executed a
        request after the vote was taken back."""
        own = self._settings.name
        about = None if self._suspected is None else self._suspected[1]
        strays = [
            one.key for one in reading.votes if one.witness == own and one.leader_revision != about
        ]
        if not strays:
            return
        try:
            await self._dcs.take_back(strays)
        except EtcdUnanswered as error:
            self._complaints.about("etcd", str(error))

    async def _take_back(self) -> None:
        """Delete what is out of the own votes; what etcd does not take expires."""
        if self._suspected is None:
            return
        leader, revision = self._suspected
        try:
            await self._dcs.take_back([self._dcs.names.vote(revision, self._settings.name)])
        except EtcdUnanswered as error:
            _log.warning("event=take-back-failed etcd=%s", error)
            return
        _log.info("event=take-back leader=%s revision=%d", leader, revision)
        self._suspected = self._voted_s = None

    async def _end_lease(self, decision: EndLease, tasks: anyio.abc.TaskGroup) -> None:
        assert self._reading is not None, "it was decided on a reading"
        began_s = self._clock()
        heard = next(one for one in self._watcher.heard if one.name == decision.leader)
        outcome = "dry-run"
        if not self._is_dry:
            try:
                is_done = await self._dcs.end_lease(decision, self._reading)
                outcome = "done" if is_done else "late"
            except EtcdUnanswered as error:
                outcome = "unknown"
                _log.warning("event=act-failed etcd=%s", error)
        ended_s = self._clock()
        silent_since_s = _last_answer_s(heard)
        if decision.case == POSTMASTER_GONE and heard.postgres.answered_s is not None:
            silent_since_s = heard.postgres.answered_s  # its Patroni lives
        detection_s = began_s - silent_since_s
        _log.warning(
            "event=act outcome=%s leader=%s revision=%d case=%s voted_by=%s detection_s=%.3f"
            ' took_s=%.3f reason="%s"',
            outcome,
            decision.leader,
            decision.leader_revision,
            decision.case,
            ",".join(decision.voted_by),
            detection_s,
            ended_s - began_s,
            decision.reason,
        )
        self._metrics.acted(outcome, detection_s if outcome in {"done", "dry-run"} else None)
        act = PastAct(
            leader=decision.leader, leader_revision=decision.leader_revision, at_s=ended_s
        )
        self._memory = replace(self._memory, acts=(*self._memory.acts, act))
        if outcome in {"done", "unknown"}:
            tasks.start_soon(self._nudge, decision.leader)

    async def _nudge(self, leader: str) -> None:
        """Wake every member after an act, those that were silent once more."""
        urls = self._watcher.rest_urls()
        await anyio.sleep(NUDGE_AFTER_S)
        said = await self._nudger.wake(urls)
        _log.info("event=nudge leader=%s said=%s", leader, said)
        silent = {name: url for name, url in urls.items() if said.get(name) == "silent"}
        if silent:
            await anyio.sleep(NUDGE_AGAIN_AFTER_S)
            _log.info("event=nudge leader=%s said=%s", leader, await self._nudger.wake(silent))


class Ballots:
    """Counts the votes that are in etcd; each from the moment when it was first seen.

    Args:
        expire_s: how long one counts if it is not renewed.
    """

    def __init__(self, expire_s: float) -> None:
        self._expire_s = expire_s
        self._seen_s: dict[tuple[str, int], float] = {}

    def count(self, reading: Reading, now_s: float) -> tuple[Vote, ...]:
        """The votes of a reading, with the moment until which each counts."""
        keys = {(one.key, one.key_revision) for one in reading.votes}
        self._seen_s = {key: self._seen_s.get(key, now_s) for key in keys}
        return tuple(
            Vote(
                witness=one.witness,
                site=one.site,
                leader=one.leader,
                leader_revision=one.leader_revision,
                reason=one.reason,
                expires_s=self._seen_s[one.key, one.key_revision] + self._expire_s,
            )
            for one in reading.votes
        )


def _last_answer_s(heard: MemberHeard) -> float:
    """When anything of the member last answered; when the watch began, if nothing ever did."""
    moments = (heard.patroni.answered_s, heard.postgres.answered_s)
    return max((one for one in moments if one is not None), default=heard.asked_since_s)
