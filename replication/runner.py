"""Runs a unit of work to its end: attempts, questions to the id row, the wait for the sites.

No policy lives here: what a failure means is ``outcomes``, what proves that a commit happened is
``unit_rows``, what must hold is ``durability``, who is the primary is ``watch`` and ``routing``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import anyio
import psycopg
import tenacity

from replication import durability, unit_rows
from replication.errors import (
    AlreadyApplied,
    DeadlineExceeded,
    DiskFull,
    Facts,
    NoPrimary,
    NotAdmitted,
    NotApplied,
    NotDurable,
    NotRepeated,
    NotSynchronous,
    PoolExhausted,
    ServerFull,
    StatementTimeout,
    StorageError,
    Unknown,
)
from replication.observe import AttemptBegan, AttemptFailed, DoubtResolved, Observers
from replication.outcomes import Action, Failure, Phase, decide
from replication.routing import Router
from replication.stepping import Again, first_pause_s, pause_of
from replication.talks import Talks
from replication.units import Applied, Attempt, Transaction, Unit
from replication.wire import (
    CommitWarning,
    Session,
    failure_of,
    is_id_row_conflict,
    is_not_admitted,
)

T = TypeVar("T")

SITES_PAUSE_S_MIN, SITES_PAUSE_S_MAX = 0.002, 0.1
"""Between two looks at who has confirmed a position; a replica confirms a flush within its own
round trip."""

SERVER_FULL = ("53200", "53300")
DISK_FULL = "53100"
QUERY_CANCELED = "57014"
ACCESS_RULE = "42"
"""The class of a table that is not there, or may not be read."""


class UnitRunner:
    """Takes units of work through their steps.

    Args:
        router: hands out sessions to the primary.
        talks: waits for the primary that may be interrupted.
        observers: told of every attempt.
        clock: monotonic seconds.
    """

    def __init__(
        self, router: Router, talks: Talks, observers: Observers, clock: Callable[[], float]
    ) -> None:
        self._router = router
        self._talks = talks
        self._observers = observers
        self._clock = clock
        self._was_synchronous = False
        self._may_see_replication = False
        self._stepping = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Again), wait=pause_of, sleep=anyio.sleep
        )

    async def run(self, unit: Unit[T], deadline_s: float) -> Applied[T]:
        """Apply ``unit`` exactly once; see ``Storage.run``."""
        with anyio.move_on_after(deadline_s):
            # Nearly all units end with their first step. It is taken without tenacity, whose
            # bookkeeping costs a fifth of the client's share of a small write (cProfile).
            try:
                return await self._step(unit)
            except Again as again:
                await anyio.sleep(first_pause_s(again.action))
            return await self._stepping(self._step, unit)
        raise self._missed(unit, deadline_s)

    async def _step(self, unit: Unit[T]) -> Applied[T]:
        """One attempt, or one question about the last one.

        Raises:
            Again: another step may help.
        """
        try:
            session = await self._router.borrow()
        except psycopg.Error as error:
            # Whatever it was, no transaction was begun.
            failure = unit.failure = failure_of(error)
            if is_not_admitted(failure.sqlstate) and not unit.must_ask:
                words = f"{unit.id} was not applied: {failure.message}"
                raise NotAdmitted(words, **self._facts(unit)) from error
            full = failure.sqlstate in SERVER_FULL
            raise Again(Action.BACK_OFF if full else Action.REROUTE) from error
        unit.node = session.node
        try:
            if unit.must_ask:
                answer = await self._ask(unit, session)
                if answer is not None:
                    return answer
            return await self._attempt(unit, session)
        finally:
            self._router.give_back(session)

    async def _attempt(self, unit: Unit[T], session: Session) -> Applied[T]:
        """One transaction, from BEGIN to the answer to its COMMIT."""
        unit.attempts += 1
        begun_s = self._clock()
        if self._observers.are_watching:
            number = unit.attempts
            self._observers.tell(AttemptBegan(unit_id=unit.id, node=session.node, number=number))
        try:
            with self._talks.with_node(session.node):
                attempt = unit.doubt = await self._work(unit, session, begun_s)
                row = await session.commit(unit.plan.proof)
                await self._prove(unit, session, row)
        except psycopg.Error as error:
            await self._fail(unit, session, error)
        except Exception:
            await session.rollback()
            raise
        return self._applied(unit, attempt, resolved=False)

    async def _work(self, unit: Unit[T], session: Session, begun_s: float) -> Attempt[T]:
        """Everything of a transaction up to its COMMIT."""
        if unit.plan.durability == "all_sites" and not self._may_see_replication:
            await self._require_sight(unit, session)
        session.begin(
            unit_rows.BEGIN_ROW,
            (unit.id, unit.row_attempt),
            begin=unit.plan.begin,
            preamble=unit.plan.preamble,
        )
        row = None
        if not unit.repeatable:
            # It is called at most once, so not before everything that can go wrong without it.
            row = await session.fetch_header()
            await self._require_synchronous(unit, session, unit_rows.parse_evidence(row))
            unit.was_called = True
        value = await unit.fn(Transaction(session))
        evidence = unit_rows.parse_evidence(row or await session.fetch_header())
        await self._require_synchronous(unit, session, evidence)
        return Attempt(value=value, node=session.node, evidence=evidence, begun_s=begun_s)

    async def _require_sight(self, unit: Unit[T], session: Session) -> None:
        """See to it that what the sites confirm can be seen at all.

        Raises:
            NotApplied: our role may not.
        """
        if not (await session.fetch(durability.MAY_SEE_REPLICATION))[0][0]:
            raise NotApplied(
                f"{unit.id} was not applied: durability all_sites is seen in"
                " pg_stat_replication, and our role may not see positions there"
                " (GRANT pg_read_all_stats TO it)",
                **self._facts(unit),
            )
        self._may_see_replication = True

    async def _require_synchronous(
        self, unit: Unit[T], session: Session, evidence: unit_rows.Evidence
    ) -> None:
        """See to it that there is somebody to wait for, if that is asked for."""
        if unit.plan.durability == "local" or evidence.synchronous:
            self._was_synchronous |= evidence.synchronous
            return
        await session.rollback()
        unit.failure = Failure(
            kind="client", message="synchronous_standby_names is empty on the primary"
        )
        if self._was_synchronous:  # and may be again in a moment: a standby has just been lost
            raise Again(Action.BACK_OFF)
        raise self._not_synchronous(unit)

    async def _prove(self, unit: Unit[T], session: Session, row: tuple[object, ...] | None) -> None:
        """After a COMMIT was answered: that it holds as safely as was asked for.

        Raises:
            CommitWarning: nobody can say so; it is in doubt again.
        """
        if row is None:
            return
        still_synchronous, lsn = row
        if not still_synchronous:
            raise CommitWarning(None, "synchronous replication was switched off during the commit")
        unit.is_acknowledged = True
        if unit.plan.durability == "all_sites":
            await self._wait_sites(unit, session, str(lsn))

    async def _wait_sites(self, unit: Unit[T], session: Session, lsn: str) -> None:
        """Wait until every site has a member whose disk has everything up to ``lsn``."""
        members = tuple(self._router.watch.members.values())
        pause_s = SITES_PAUSE_S_MIN
        while True:
            rows = await session.fetch(durability.CONFIRMED, (lsn,))
            unit.missing = durability.sites_missing(
                members, primary=session.node, confirmed={name for (name,) in rows}
            )
            if not unit.missing:
                return
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, SITES_PAUSE_S_MAX)

    async def _fail(self, unit: Unit[T], session: Session, error: psycopg.Error) -> NoReturn:
        """Decide what becomes of a unit whose attempt failed.

        Raises:
            Again: it is worth another step.
            NotApplied: it is not, and nothing took effect.
        """
        failure = unit.failure = failure_of(error)
        if unit.phase is Phase.BODY and is_id_row_conflict(error, unit_rows.ROW_TABLE):
            unit.id_taken = True
            await session.rollback()
            raise Again(Action.IN_DOUBT) from error
        action = decide(failure, unit.phase)
        if unit.is_acknowledged:  # it failed while the sites were waited for
            action = Action.IN_DOUBT
        self._observers.tell(
            AttemptFailed(
                unit_id=unit.id,
                node=session.node,
                number=unit.attempts,
                sqlstate=failure.sqlstate,
                action=action.name.lower(),
            )
        )
        if failure.kind == "lost" or decide(failure, Phase.BODY) is Action.REROUTE:
            self._router.lost(session, failure.message)
        if action is Action.IN_DOUBT:
            raise Again(action) from error
        unit.doubt = None
        await session.rollback()
        if action is Action.GIVE_UP:
            raise self._given_up(unit, failure) from error
        self._require_repeatable(unit)
        raise Again(action) from error

    async def _ask(self, unit: Unit[T], session: Session) -> Applied[T] | None:
        """Ask the id row what became of the last attempt, and see to it that the answer stays.

        Returns:
            The result if it took effect; None if it never will, and the next attempt may begin.
        """
        try:
            with self._talks.with_node(session.node):
                answer = await resolve(unit.id, unit.row_attempt, unit.plan, session)
                state = answer.state
                if state == "applied" and unit.doubt is not None:
                    # The question was a write of its own: what holds for it holds for the unit.
                    await self._prove(unit, session, await _now(unit, session))
        except psycopg.Error as error:
            failure = unit.failure = failure_of(error)
            action = decide(failure, Phase.BODY)
            if action is Action.REROUTE:
                self._router.lost(session, failure.message)
            await session.rollback()
            if (failure.sqlstate or "").startswith(ACCESS_RULE):
                raise Unknown(
                    f"nobody knows whether {unit.id} was applied: its id row cannot be asked"
                    f" ({failure.message})",
                    **self._facts(unit),
                ) from error
            # To ask once more is always safe, so whatever else stands in the way may pass.
            gives_up = action is Action.GIVE_UP and failure.kind != "warning"
            raise Again(Action.BACK_OFF if gives_up else action) from error
        if unit.doubt is not None:
            elapsed_s = self._clock() - unit.started_s
            self._observers.tell(
                DoubtResolved(unit_id=unit.id, node=session.node, state=state, elapsed_s=elapsed_s)
            )
        if state == "void":
            unit.next_attempt()
            self._require_repeatable(unit)
            return None
        if unit.doubt is None:
            raise AlreadyApplied(f"{unit.id} was applied by an earlier call", **self._facts(unit))
        return self._applied(unit, unit.doubt, resolved=True)

    def _require_repeatable(self, unit: Unit[T]) -> None:
        if unit.was_called:
            last = f" ({unit.failure.message})" if unit.failure is not None else ""
            raise NotRepeated(f"{unit.id} was not applied{last}", **self._facts(unit))

    def _applied(self, unit: Unit[T], attempt: Attempt[T], *, resolved: bool) -> Applied[T]:
        return Applied(
            value=attempt.value,
            unit_id=unit.id,
            row_attempt=unit.row_attempt,
            node=attempt.node,
            timeline=attempt.evidence.timeline,
            lsn=attempt.evidence.lsn,
            attempts=unit.attempts,
            attempt_s=attempt.begun_s,
            elapsed_s=self._clock() - unit.started_s,
            resolved=resolved,
        )

    def _given_up(self, unit: Unit[T], failure: Failure) -> NotApplied:
        """An error that would come again."""
        kinds = {DISK_FULL: DiskFull, QUERY_CANCELED: StatementTimeout}
        kind = kinds.get(failure.sqlstate or "", NotApplied)
        return kind(f"{unit.id} was not applied: {failure.message}", **self._facts(unit))

    def _not_synchronous(self, unit: Unit[T]) -> NotSynchronous:
        words = f"{unit.id} was not applied: synchronous_standby_names is empty on {unit.node}"
        return NotSynchronous(words, **self._facts(unit))

    def _missed(  # noqa: PLR0911 (one a kind of end)
        self, unit: Unit[T], deadline_s: float
    ) -> StorageError:
        """The deadline has passed: what can be said."""
        facts = self._facts(unit)
        failure = unit.failure
        last = f" ({failure.message})" if failure is not None else ""
        within = f"within {deadline_s:g} s"
        if unit.is_acknowledged:
            sites = ", ".join(unit.missing) or "the other sites"
            words = f"{unit.id} was applied and a quorum has it, but {sites} did not confirm it"
            return NotDurable(f"{words} {within}", missing=unit.missing, **facts)
        if unit.must_ask:
            return Unknown(
                f"nobody knows whether {unit.id} was applied: its commit was in doubt and could"
                f" not be resolved {within}{last}",
                **facts,
            )
        words = f"{unit.id} was not applied"
        if failure is not None and failure.sqlstate in SERVER_FULL:
            return ServerFull(f"{words} {within}: {failure.message}", **facts)
        if failure is not None and failure.kind == "client" and self._was_synchronous:
            return self._not_synchronous(unit)
        if unit.attempts == 0 and self._router.pool.is_exhausted:
            size = self._router.pool.lent
            return PoolExhausted(f"{words}: all {size} sessions were in use {within}", **facts)
        if unit.attempts == 0:
            return NoPrimary(f"{words}: no primary took a connection {within}{last}", **facts)
        return DeadlineExceeded(f"{words} {within}{last}", **facts)

    def _facts(self, unit: Unit[T]) -> Facts:
        return Facts(
            unit_id=unit.id,
            node=unit.node,
            sqlstate=None if unit.failure is None else unit.failure.sqlstate,
            elapsed_s=self._clock() - unit.started_s,
            attempts=unit.attempts,
        )


async def resolve(
    unit_id: str, attempt: int, plan: durability.Plan, session: Session
) -> unit_rows.Answer:
    """``unit_rows.RESOLVE``, acknowledged under the same rule as the unit itself.

    Raises:
        psycopg.Error: there is no answer that could be believed; it may simply be asked again.
    """
    preamble = durability.plan(plan.durability).preamble
    session.begin(unit_rows.RESOLVE, (unit_id, attempt), preamble=preamble)
    answer = unit_rows.parse_answer(await session.fetch_header())
    row = await session.commit(plan.proof)
    if row is not None and not row[0]:
        raise CommitWarning(None, "synchronous replication was switched off during the question")
    return answer


async def _now(unit: Unit[T], session: Session) -> tuple[object, ...] | None:
    """Where the WAL is now, as the proof of a commit says it; None if nobody asks."""
    if unit.plan.durability != "all_sites":
        return None
    return (await session.fetch(durability.PROOF))[0]
