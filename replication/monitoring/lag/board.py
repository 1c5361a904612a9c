"""Remembers what is known of a cluster between two questions. No I/O, no clock.

The prober tells the board every answer, and every missed one, with its times (monotonic seconds of
one clock). A member that no longer answers keeps its last position and its last heartbeat, and
nothing else: an old role or state is never shown as the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from replication.monitoring.lag.beats import Beats, Seen
from replication.monitoring.lag.positions import (
    Reached,
    Reference,
    choose_reference,
    reached_by_itself,
)
from replication.monitoring.lag.sql_answer import SqlAnswer, Standby
from replication.patroni.answers import PatroniAnswer
from replication.patroni.members import Member

STALLED_AFTER_S = 10.0
"""A standby that has something to flush, and flushes nothing for this long, is silent. A receiver
reports every flush, and at least every 10 s (``wal_receiver_status_interval``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The last question of a kind: how long it took, when it ended; and how many failed so far."""

    duration_s: float = 0.0
    ended_s: float | None = None
    failures: int = 0

    def after(self, *, began_s: float, ended_s: float, answered: bool) -> Probe:
        """With one more question."""
        failures = self.failures + (0 if answered else 1)
        return Probe(duration_s=ended_s - began_s, ended_s=ended_s, failures=failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one member. ``patroni``, ``sql``: None where the last question failed."""

    member: Member
    patroni: PatroniAnswer | None = None
    sql: SqlAnswer | None = None
    rest_probe: Probe = Probe()
    sql_probe: Probe = Probe()
    reached: Reached | None = None
    seen: Seen | None = None
    silent: bool = True
    """Whether ``seen`` is older than the last question."""
    since_s: float | None = None
    """When it became a member; None: it was there at the beginning."""
    progress_s: float | None = None
    """When the primary last saw it flush something, or saw that there was nothing to flush."""

    @property
    def is_writable(self) -> bool:
        """PostgreSQL answers, and is not in recovery."""
        return self.sql is not None and not self.sql.in_recovery

    @property
    def timeline(self) -> int | None:
        """The best that is known of it now: PostgreSQL's word, else Patroni's."""
        if self.sql is not None and self.sql.timeline is not None:
            return self.sql.timeline
        if self.patroni is not None and self.patroni.timeline is not None:
            return self.patroni.timeline
        return None if self.sql is None else self.sql.checkpoint_timeline


class LagBoard:
    """All records, the primary to measure against, and the heartbeats."""

    def __init__(self, members: Sequence[Member], *, began_s: float) -> None:
        self.began_s = began_s
        self.records = {member.name: Record(member=member) for member in members}
        self.reference: Reference | None = None
        self.beats = Beats()
        self.beat_s: float | None = None
        """When the last heartbeat was acknowledged."""
        self.timeline_ends: dict[int, int] = {}
        self.synchronous_mode: bool | None = None
        self.dcs_up: dict[str, bool] = {}
        self.dcs_quorum: bool | None = None

    def put(self, member: Member, *, now_s: float) -> None:
        """``member`` is one of the cluster, from now on at this address; forget what was known of
        it."""
        self.records = {**self.records, member.name: Record(member=member, since_s=now_s)}

    def drop(self, name: str) -> None:
        """``name`` is no longer a member."""
        self.records = {other: one for other, one in self.records.items() if other != name}

    def hear_patroni(
        self, name: str, answer: PatroniAnswer | None, *, began_s: float, ended_s: float
    ) -> None:
        """``name`` was asked at ``began_s``; None: it did not answer."""
        record = self.records[name]
        probe = record.rest_probe.after(
            began_s=began_s, ended_s=ended_s, answered=answer is not None
        )
        self._learn(replace(record, patroni=answer, rest_probe=probe), ended_s)

    def hear_sql(
        self,
        name: str,
        answer: SqlAnswer | None,
        *,
        began_s: float,
        ended_s: float,
        number: int | None = None,
    ) -> None:
        """``name`` was asked at ``began_s``; None: it did not answer.

        ``number``: the heartbeat that it had then (0: none of ours; None: it could not be read).
        """
        record = self.records[name]
        probe = record.sql_probe.after(
            began_s=began_s, ended_s=ended_s, answered=answer is not None
        )
        seen = record.seen if number is None else Seen(number=number, asked_s=began_s)
        silent = number is None
        record = replace(record, sql=answer, sql_probe=probe, seen=seen, silent=silent)
        self._learn(record, ended_s)

    def hear_beat(self, name: str, number: int, before: int | None, *, now_s: float) -> None:
        """The primary ``name`` has committed heartbeat ``number``."""
        self.beats.acknowledge(number, before=before, now_s=now_s)
        self.beat_s = now_s
        record = self.records[name]
        self.records[name] = replace(record, seen=Seen(number=number, asked_s=now_s))

    def row_of(self, name: str) -> Standby | None:
        """The replica's row in the primary's ``pg_stat_replication``.

        A broken connection may still have a row beside that of the new connection: the one that is
        further counts.
        """
        answer = self.reference_answer
        rows = [] if answer is None else [row for row in answer.standbys if row.name == name]
        return max(rows, key=lambda row: row.positions or (0, 0, 0, 0), default=None)

    @property
    def reference_answer(self) -> SqlAnswer | None:
        """What the primary's PostgreSQL said; None while it does not answer."""
        if self.reference is None:
            return None
        record = self.records[self.reference.member]
        return record.sql if record.is_writable else None

    @property
    def oldest_s(self) -> float:
        """When the oldest answer came in (or was missed); the beginning, while one is not yet."""
        return min(
            probe.ended_s if probe.ended_s is not None else record.since_s or self.began_s
            for record in self.records.values()
            for probe in (record.rest_probe, record.sql_probe)
        )

    def is_stalled(self, name: str, now_s: float) -> bool:
        """Whether the primary has waited long for the replica: then its connection is dead,
        although the primary may keep it for ``wal_sender_timeout``."""
        record = self.records.get(name)
        if record is None or record.progress_s is None:
            return False
        return now_s - record.progress_s > STALLED_AFTER_S

    def _learn(self, record: Record, now_s: float) -> None:
        """Store a record, and draw the conclusions from it."""
        self.records[record.member.name] = record
        candidates = [one for one in map(_candidate, self.records.values()) if one is not None]
        self.reference = choose_reference(candidates, self.reference)
        of_all = self.reference is not None and self.reference.member == record.member.name
        for each in list(self.records.values()) if of_all else [record]:
            reached = self._reached(each)
            progress_s = self._progress_s(each, reached, now_s)
            self.records[each.member.name] = replace(each, reached=reached, progress_s=progress_s)

    def _progress_s(self, record: Record, reached: Reached | None, now_s: float) -> float | None:
        row, reference = self.row_of(record.member.name), self.reference
        if row is None or reached is None or reference is None:
            return None
        moved = record.reached is None or reached.flush != record.reached.flush
        if moved or record.progress_s is None or reached.flush >= reference.position:
            return now_s
        return record.progress_s

    def _reached(self, record: Record) -> Reached | None:
        """The last known position: what the primary says, else the replica, else the one before."""
        row = self.row_of(record.member.name)
        if row is not None and row.positions is not None and self.reference is not None:
            sent, write, flush, replay = row.positions
            timeline = self.reference.timeline
            return Reached(sent=sent, write=write, flush=flush, replay=replay, timeline=timeline)
        if record.sql is not None and record.sql.position is not None:
            position = record.sql.position
            return reached_by_itself(position, position, record.timeline)
        for own in (record.sql, record.patroni):
            if own is not None and own.replayed is not None:
                return reached_by_itself(own.received, own.replayed, record.timeline)
        return record.reached


def _candidate(record: Record) -> Reference | None:
    """The member as a primary to measure against; None if it is not one."""
    sql, patroni = record.sql, record.patroni
    has_lock = patroni is not None and patroni.has_lock
    if sql is not None:
        if sql.in_recovery or sql.position is None or sql.timeline is None:
            return None
        return Reference(
            member=record.member.name,
            timeline=sql.timeline,
            position=sql.position,
            has_lock=has_lock,
            system_identifier=sql.system_identifier,
        )
    if patroni is None or not has_lock or patroni.position is None or patroni.timeline is None:
        return None
    return Reference(
        member=record.member.name,
        timeline=patroni.timeline,
        position=patroni.position,
        has_lock=True,
        system_identifier=patroni.system_identifier,
    )
