"""Asks every member, all the time, each in its own rhythm: a silent one delays nobody but itself.

Two loops a member (Patroni, PostgreSQL), one for the DCS, one for what the whole cluster has in
common. Every question has a deadline. The heartbeat is written by the loop of the primary, right
after the primary has said that it is one.
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from replication.exporter.complaints import Complaints
from replication.exporter.questions import (
    DCS_DEADLINE_S,
    REST_DEADLINE_S,
    Http,
    SqlMember,
)
from replication.exporter.settings import ExporterSettings
from replication.lag.board import Board
from replication.lag.patroni_answer import (
    PatroniAnswer,
    parse_member,
    parse_synchronous_mode,
    parse_timeline_ends,
)
from replication.lag.sql_answer import SqlAnswer
from replication.members import Member

_log = logging.getLogger("replication.exporter")

COMMON_EVERY = 5
"""The dynamic configuration and the history change rarely: they are asked for every fifth round."""

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
        self.board = Board(settings.members, began_s=clock())
        self._settings = settings
        self._clock = clock
        self._complaints = Complaints()
        self._http = Http(settings.rest_tls, settings.network)
        self._dcs_http = Http(settings.dcs_tls, settings.network)
        # Drawn anew by every run: see ``heartbeat_row``.
        self._writer = f"{socket.gethostname()}-{secrets.token_hex(4)}"

    async def run(self) -> None:
        """Ask for ever."""
        try:
            async with anyio.create_task_group() as group:
                for member in self._settings.members:
                    group.start_soon(self._every, 1, partial(self._ask_patroni, member))
                    group.start_soon(self._ask_sql_for_ever, member)
                if self._settings.dcs_endpoints:
                    group.start_soon(self._every, 1, self._ask_dcs)
                group.start_soon(self._every, COMMON_EVERY, self._ask_common)
        finally:
            await self._http.aclose()
            await self._dcs_http.aclose()

    async def _every(self, rounds: int, step: Callable[[], Awaitable[None]]) -> None:
        """Take ``step`` every so many intervals; one that takes longer skips rounds, and never
        catches up on them in a burst. A fault of ours in one of them ends no other: its answers
        grow old, and ``/healthz`` says so."""
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
        answer = await self._http.get(
            f"{member.rest_url}/primary",
            deadline_s=REST_DEADLINE_S,
            complain=partial(self._complaints.about, subject),
        )
        parsed: PatroniAnswer | None = None
        if answer is not None:
            parsed = parse_member(answer.status, answer.body)
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
            answer = await self._dcs_http.get(
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
            mode = parse_synchronous_mode(config)
            history = await self._get_from(record.member, "history")
            ends = None if history is None else parse_timeline_ends(history)
            if mode is not None:
                self.board.synchronous_mode = mode
                if ends is not None:
                    self.board.timeline_ends = ends
                return
        self.board.synchronous_mode = None

    async def _get_from(self, member: Member, path: str) -> bytes | None:
        # Whether it answers at all is said by the loop of the member.
        answer = await self._http.get(
            f"{member.rest_url}/{path}", deadline_s=REST_DEADLINE_S, complain=lambda _: None
        )
        return None if answer is None or answer.status != 200 else answer.body

    def _complain_of_rights(self, member: Member, answer: SqlAnswer) -> None:
        for permission, words in _MISSING.items():
            subject = f"{member.name}, permission {permission}"
            if permission in answer.missing:
                self._complaints.about(subject, words)
            else:
                self._complaints.over(subject)
