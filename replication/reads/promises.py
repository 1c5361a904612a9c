"""Whether a member keeps what a read was promised: its bound of staleness, or a token's write.

Asked before the read's transaction begins: a snapshot that is taken afterwards has at least this.
A replica that is behind is given a moment to catch up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import anyio
import psycopg

from replication.errors import Facts, NotInstalled, ReadFailed, TokenLost
from replication.patroni.members import Member
from replication.primary.watch import Watch
from replication.reads.confirming import Confirmer
from replication.reads.first_answer import Pulse
from replication.reads.staleness import known_until_s, staleness_s
from replication.units import id_row
from replication.units.durability import Isolation
from replication.units.token import Token, TokenStanding, standing_of, survived
from replication.wire import Session

CHECK_DEADLINE_S = 1.0
"""For one question to one member about its position: it is answered from memory."""

PATIENCE_S = 0.1
"""How long a replica that is behind is given to catch up before the next member is tried: a replay
that keeps up is behind by milliseconds."""

LOOK_INTERVAL_S = 0.005

_POSITION = (
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery()"
    " THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn"
)

History = Callable[[Member], Awaitable[tuple[tuple[int, int], ...] | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a read asks for."""

    max_staleness_s: float | None = None
    after: Token | None = None
    isolation: Isolation | None = None
    prefer_readers: bool = False
    """Members that are tagged as readers are tried first."""
    last: str | None = None
    """The member that served what this continues: it is tried before all others."""

    @property
    def primary_only(self) -> bool:
        """Nothing was said that a replica could keep."""
        return self.max_staleness_s is None and self.after is None


@dataclass(slots=True, kw_only=True)
class Search:
    """A read on its way: which members it was tried on, and why they did not serve."""

    begun_s: float
    clock: Callable[[], float]
    attempts: int = 0
    node: str | None = None
    sqlstate: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    def failed(self, node: str, why: str, sqlstate: str | None = None) -> None:
        """``node`` did not serve."""
        self.node, self.sqlstate = node, sqlstate
        self.reasons[node] = why

    @property
    def why(self) -> str:
        """What each member said last."""
        words = [f"{node}: {why}" for node, why in self.reasons.items()]
        return "; ".join(words) or "there is no primary"

    @property
    def facts(self) -> Facts:
        """For an error."""
        return Facts(
            unit_id=None,
            node=self.node,
            sqlstate=self.sqlstate,
            elapsed_s=self.clock() - self.begun_s,
            attempts=self.attempts,
        )


class Unfit(Exception):
    """This member does not keep the promise now."""


class Promises:
    """Checks members.

    Args:
        watch: knows where the primary's WAL is.
        confirmer: proves that it still is the primary.
        history: a member's ``GET /history``.
        clock: monotonic seconds, that of the watch.
    """

    def __init__(
        self, watch: Watch, confirmer: Confirmer, history: History, clock: Callable[[], float]
    ) -> None:
        self._watch = watch
        self._confirmer = confirmer
        self._history = history
        self._clock = clock

    async def check(
        self, session: Session, demand: Demand, search: Search, pulse: Pulse, *, is_primary: bool
    ) -> float | None:
        """Check that the member keeps the promise; the staleness bound, if one was asked for.

        Raises:
            Unfit: it does not.
            TokenLost: no member does.
            psycopg.Error: it has no answer.
        """
        age_s = None
        try:
            if demand.max_staleness_s is not None:
                with anyio.fail_after(CHECK_DEADLINE_S + PATIENCE_S):
                    age_s = await self._check_age(
                        session, demand.max_staleness_s, pulse, is_primary=is_primary
                    )
            if demand.after is not None:
                with anyio.fail_after(CHECK_DEADLINE_S + PATIENCE_S):
                    await self._check_token(
                        session, demand.after, search, pulse, is_primary=is_primary
                    )
        except TimeoutError:
            session.abandon()
            raise Unfit("it does not say how far it is") from None
        return age_s

    async def _check_age(
        self, session: Session, max_staleness_s: float, pulse: Pulse, *, is_primary: bool
    ) -> float:
        end_s = self._clock() + PATIENCE_S
        age_s = await self._age_s(session, pulse, is_primary=is_primary)
        if age_s is None or age_s > max_staleness_s:
            await self._renew(max_staleness_s)
            while True:
                age_s = await self._age_s(session, pulse, is_primary=is_primary)
                if age_s is not None and age_s <= max_staleness_s:
                    break
                if is_primary or self._clock() > end_s:
                    known = "by an unknown time" if age_s is None else f"by up to {age_s:.3f} s"
                    words = f"it may be behind {known}, {max_staleness_s:g} s are allowed"
                    raise Unfit(words + self._unconfirmed(max_staleness_s))
                await anyio.sleep(LOOK_INTERVAL_S)
        if self._is_unconfirmed(max_staleness_s / 2):
            self._confirmer.ask()  # the next reads will not have to wait for it
        return age_s

    async def _renew(self, max_staleness_s: float) -> None:
        """Ask where the primary is (the last answer may be as old as the watch's interval), and
        have it proved that it is the primary, if that is what is too old."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch.sample)
            if self._is_unconfirmed(max_staleness_s):
                group.start_soon(self._confirmer.wait)

    def _is_unconfirmed(self, age_s: float) -> bool:
        """No commit was acknowledged since ``age_s`` ago."""
        confirmed_s = self._confirmer.age_s
        return confirmed_s is None or confirmed_s > age_s

    def _unconfirmed(self, max_staleness_s: float) -> str:
        """What to add to the words of a refusal that is for want of an acknowledged commit."""
        if not self._is_unconfirmed(max_staleness_s):
            return ""
        why = self._confirmer.trouble
        told = "" if why is None else f" ({why})"
        return f"; no commit was acknowledged by the primary meanwhile{told}"

    async def _age_s(self, session: Session, pulse: Pulse, *, is_primary: bool) -> float | None:
        """The staleness bound of a member just now.

        A primary's is the time since its Patroni last said that it holds the leader lock, and
        since the last acknowledged commit: until then no other member can have written.
        """
        proven = self._watch.proven
        if is_primary:
            answer = self._watch.view.get(session.node)
            if answer is None or not answer.is_primary:
                return None
            until_s = known_until_s(answer.asked_s, timeline=session.timeline, proven=proven)
            return None if until_s is None else self._clock() - until_s
        in_recovery, replayed = (await session.fetch(_POSITION))[0]
        pulse.beat()
        if not in_recovery:
            raise Unfit("it has been promoted")
        answer = self._watch.view.get(session.node)
        timeline = None if answer is None else answer.timeline
        if timeline is None or timeline > self._watch.timeline_min:
            return None  # of one on which no primary was seen nothing is known
        return staleness_s(
            self._watch.samples,
            proven=proven,
            timeline=timeline,
            replayed_bytes=int(replayed),
            now_s=self._clock(),
        )

    async def _check_token(
        self, session: Session, token: Token, search: Search, pulse: Pulse, *, is_primary: bool
    ) -> None:
        """Check that the token's write is there, by its id row.

        Raises:
            TokenLost: no member has it any more.
            ReadFailed: the primary has no table of id rows, or that of an earlier version.
            Unfit: it is not here yet, or that cannot be told now.
        """
        end_s = self._clock() + PATIENCE_S
        while (standing := await _standing(session, token)) != "there":
            pulse.beat()
            if is_primary and standing == "unknown":
                words = f"the read failed: {id_row.AMISS}. {NotInstalled.remedy}"
                raise ReadFailed(words, **search.facts)
            if is_primary and standing == "lost":
                raise _lost(token, session, search)
            if is_primary:
                await self._require_pruned(session, token, search)
                return
            if self._clock() > end_s:
                raise Unfit("it does not have the token's write yet")
            await anyio.sleep(LOOK_INTERVAL_S)
        pulse.beat()

    async def _require_pruned(self, session: Session, token: Token, search: Search) -> None:
        """The primary does not have a token's row: it was pruned, or a failover took it away.

        Raises:
            TokenLost: the latter.
            Unfit: it cannot be told now.
        """
        if session.timeline == token.timeline:
            return  # what was written on a timeline is there as long as the timeline lasts
        if session.timeline < token.timeline:
            raise Unfit(f"it is on timeline {session.timeline}, the token on {token.timeline}")
        member = self._watch.members.get(session.node)
        history = None if member is None else await self._history(member)
        if history is None:
            raise Unfit("its Patroni does not say where the timelines ended")
        if not survived(token, history):
            raise _lost(token, session, search)


def _lost(token: Token, session: Session, search: Search) -> TokenLost:
    return TokenLost(
        f"{token.unit_id} was written on timeline {token.timeline} and is not part of"
        f" timeline {session.timeline}: a failover took it away",
        **search.facts,
    )


async def _standing(session: Session, token: Token) -> TokenStanding | Literal["unknown"]:
    """What the session's server says of the token's write; unknown where it has no such table.

    A replica that is behind may lack the table, or the column of the key, that the primary has.
    """
    try:
        rows = await session.fetch(id_row.LOOK, (token.unit_id, token.attempt))
    except psycopg.Error as error:
        if error.sqlstate in id_row.NOT_INSTALLED:
            return "unknown"
        raise
    return standing_of(token, rows[0] if rows else None)
