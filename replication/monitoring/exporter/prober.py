"""Asks every member again and again, each in its own rhythm: a silent one delays no other.

Two loops a member (Patroni, PostgreSQL), one for the DCS, one for what the whole cluster has in
common. Every question has a deadline. The heartbeat is written by the loop of the primary, right
after the primary has said that it is one. Members come and go while it runs (``membership``).
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio
from anyio.abc import TaskGroup

from replication.monitoring.exporter.questions import DCS_DEADLINE_S, SqlMember, get_or_complain
from replication.monitoring.exporter.settings import ExporterSettings
from replication.monitoring.lag.board import LagBoard
from replication.monitoring.lag.sql_answer import SqlAnswer
from replication.observability.events import Complaints, log_event
from replication.patroni.answers import (
    PatroniAnswer,
    RestAnswer,
    read_history,
    read_status,
    read_synchronous_mode,
)
from replication.patroni.client import ASK_DEADLINE_S, Http, RestClient
from replication.patroni.members import Member
from replication.patroni.membership import Membership

_log = logging.getLogger("replication.monitoring.exporter")

COMMON_EVERY = 5
"""The dynamic configuration and the history change rarely: they are asked for every fifth round."""

ROLL_EVERY = 10
"""The list of members changes more rarely still, and Patroni may read the DCS for it."""

_MISSING = {
    "read_stats": "the role may not read statistics, so nothing is known of the replicas that it"
    " feeds: GRANT pg_read_all_stats",
    "heartbeat": "bascule.heartbeat is missing or may not be written, so no seconds of lag are"
    " measured: see --setup-sql",
}


class Prober:
    """Keeps a board up to date until it is cancelled."""

    def __init__(
        self, settings: ExporterSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.board = LagBoard(settings.members, began_s=clock())
        self._settings = settings
        self._clock = clock
        self._complaints = Complaints(_log, over="answers again")
        self._dcs_http = Http(settings.dcs_tls, settings.network)
        self._rest = RestClient(
            ssl_context=settings.rest_tls, network=settings.network, clock=clock
        )
        self._membership = Membership(
            self,
            self._rest.ask,
            self._rest.cluster,
            log_event,
            listed=settings.members if settings.listed is None else settings.listed,
            endpoints=settings.patroni,
            interval_s=ROLL_EVERY * settings.interval_s,
            clock=clock,
        )
        self.known = RestAnswer(scope=settings.scope or settings.cluster)
        """As ``membership.Registry``, with what is below."""
        self._group: TaskGroup | None = None
        self._loops: dict[str, anyio.CancelScope] = {}
        # Drawn by every run: see ``heartbeat_row``.
        self._writer = f"{socket.gethostname()}-{secrets.token_hex(4)}"

    async def run(self) -> None:
        """Ask for ever."""
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                for member in self._settings.members:
                    self._start(member)
                if self._settings.membership == "followed":
                    group.start_soon(self._membership.run)
                if self._settings.dcs_endpoints:
                    group.start_soon(self._every, 1, self._ask_dcs)
                group.start_soon(self._every, COMMON_EVERY, self._ask_common)
        finally:
            await self._dcs_http.aclose()
            await self._rest.aclose()

    @property
    def members(self) -> Mapping[str, Member]:
        """Those that are asked."""
        return {name: record.member for name, record in self.board.records.items()}

    @property
    def is_searching(self) -> bool:
        """No primary is seen."""
        return self.board.reference_answer is None

    def is_answering(self, node: str) -> bool:
        """Whether its Patroni answered the last question."""
        record = self.board.records.get(node)
        return record is not None and record.patroni is not None

    def put(self, member: Member) -> None:
        """Ask ``member``, at this address."""
        self._stop(member.name)
        self.board.put(member, now_s=self._clock())
        self._start(member)

    def drop(self, node: str) -> None:
        """Ask ``node`` no more, and show nothing of it, unless it is the primary."""
        reference = self.board.reference
        if reference is None or reference.member != node:
            self._stop(node)
            self.board.drop(node)

    def _start(self, member: Member) -> None:
        assert self._group is not None, "run comes first"
        scope = self._loops[member.name] = anyio.CancelScope()
        self._group.start_soon(self._ask_for_ever, member, scope)

    def _stop(self, node: str) -> None:
        if (loops := self._loops.pop(node, None)) is not None:
            loops.cancel()

    async def _ask_for_ever(self, member: Member, scope: anyio.CancelScope) -> None:
        with scope:
            async with anyio.create_task_group() as loops:
                loops.start_soon(self._every, 1, partial(self._ask_patroni, member))
                loops.start_soon(self._ask_sql_for_ever, member)

    async def _every(self, rounds: int, step: Callable[[], Awaitable[None]]) -> None:
        """Take ``step`` every ``rounds`` intervals; one that takes longer skips rounds, and never
        catches up on them in a burst. A fault of ours in a step does not end the others: its
        answers grow old, and ``/healthz`` says so."""
        interval_s = self._settings.interval_s * rounds
        due_s = self._clock()
        while True:
            try:
                await step()
            except Exception:
                _log.exception("a question could not be asked, or its answer not understood")
            missed = int((self._clock() - due_s) / interval_s)
            due_s += interval_s * (missed + 1)
            await anyio.sleep(max(0.0, due_s - self._clock()))

    async def _ask_patroni(self, member: Member) -> None:
        subject = f"{member.name}, Patroni"
        scope = self._settings.scope or self._settings.cluster
        began_s = self._clock()
        answer = await get_or_complain(
            self._rest.http,
            f"{member.rest_url}/primary",
            deadline_s=ASK_DEADLINE_S,
            complain=partial(self._complaints.about, subject),
        )
        parsed: PatroniAnswer | None = None
        if answer is not None:
            parsed = read_status(answer.status, answer.body)
            if parsed is None:
                self._complaints.about(subject, f"{member.rest_url} is no REST API of Patroni")
            elif parsed.scope not in {None, scope}:
                self._complaints.about(
                    subject, f"belongs to cluster {parsed.scope}, not to {scope}"
                )
                parsed = None
            else:
                self._complaints.over(subject)
        self.board.hear_patroni(member.name, parsed, began_s=began_s, ended_s=self._clock())

    async def _ask_sql_for_ever(self, member: Member) -> None:
        sql = SqlMember(member, self._settings.credentials, writer=self._writer)
        try:
            await self._every(1, partial(self._ask_sql, sql, member))
        finally:
            await sql.aclose()

    async def _ask_sql(self, sql: SqlMember, member: Member) -> None:
        subject = f"{member.name}, PostgreSQL"
        began_s = self._clock()
        found = await sql.ask(partial(self._complaints.about, subject))
        self.board.hear_sql(
            member.name,
            None if found is None else found.answer,
            began_s=began_s,
            ended_s=self._clock(),
            number=None if found is None else found.number,
        )
        if found is None:
            return
        self._complaints.over(subject)
        self._complain_of_rights(member, found.answer)
        reference = self.board.reference
        if reference is None or reference.member != member.name or found.answer.in_recovery:
            return
        if "heartbeat" not in found.answer.missing:
            await self._beat(sql, member)

    async def _beat(self, sql: SqlMember, member: Member) -> None:
        subject = f"{member.name}, heartbeat"
        number = self.board.beats.next(self._clock())
        written, before = await sql.beat(number, partial(self._complaints.about, subject))
        if written:
            self._complaints.over(subject)
            self.board.hear_beat(member.name, number, before, now_s=self._clock())

    async def _ask_dcs(self) -> None:
        healthy: list[bool] = []

        async def ask(endpoint: str) -> None:
            subject = f"etcd at {endpoint}"
            answer = await get_or_complain(
                self._dcs_http,
                f"{endpoint}/health",
                deadline_s=DCS_DEADLINE_S,
                complain=partial(self._complaints.about, subject),
            )
            self.board.dcs_up[endpoint] = answer is not None
            if answer is not None:
                self._complaints.over(subject)
                # {"health":"true"}, and as a boolean in some versions.
                body = answer.body.replace(b" ", b"").replace(b'"true"', b"true")
                healthy.append(answer.status == 200 and b'"health":true' in body)

        async with anyio.create_task_group() as group:
            for endpoint in self._settings.dcs_endpoints:
                group.start_soon(ask, endpoint)
        self.board.dcs_quorum = any(healthy)

    async def _ask_common(self) -> None:
        """The dynamic configuration and the history, from the first member that answers."""
        records = self.board.records.values()
        for record in sorted(records, key=lambda r: (r.patroni is None, not r.is_writable)):
            config = await self._get_from(record.member, "config")
            if config is None:
                continue
            mode = read_synchronous_mode(config)
            history = await self._get_from(record.member, "history")
            ends = None if history is None else read_history(history)
            if mode is not None:
                self.board.synchronous_mode = mode
                if ends is not None:
                    self.board.timeline_ends = dict(filter(None, ends))
                return
        self.board.synchronous_mode = None

    async def _get_from(self, member: Member, path: str) -> bytes | None:
        # The loop of the member reports whether it answers at all.
        answer = await get_or_complain(
            self._rest.http,
            f"{member.rest_url}/{path}",
            deadline_s=ASK_DEADLINE_S,
            complain=lambda _: None,
        )
        return None if answer is None or answer.status != 200 else answer.body

    def _complain_of_rights(self, member: Member, answer: SqlAnswer) -> None:
        for permission, words in _MISSING.items():
            subject = f"{member.name}, permission {permission}"
            if permission in answer.missing:
                self._complaints.about(subject, words)
            else:
                self._complaints.over(subject)
