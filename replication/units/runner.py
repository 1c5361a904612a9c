"""Runs a unit of work to its end: attempts, questions to the id row, the wait for the sites.

It has no policy of its own: ``failures`` says what a failure means, ``id_row`` what proves that a
commit happened, ``durability`` what must hold, ``watch`` and ``router`` who is the primary,
``errors`` what the caller is told at the end.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import anyio
import psycopg
import tenacity

from replication.errors import (
    AlreadyApplied,
    Facts,
    NotApplied,
    NotInstalled,
    NotRepeated,
    Unknown,
)
from replication.failures import Action, AttemptPhase, Failure, decide
from replication.observability.events import AttemptBegan, AttemptFailed, DoubtResolved, Observers
from replication.primary import read_only
from replication.primary.router import Router, not_admitted
from replication.primary.waits import Talks
from replication.units import durability, id_row
from replication.units.errors import facts_of, given_up, missed, not_synchronous, takes_no_writes
from replication.units.outcome import resolve
from replication.units.stepping import Again, first_pause_s, pause_of
from replication.units.unit import Applied, Attempt, Transaction, Unit
from replication.wire import (
    CommitWarning,
    Meaning,
    Refused,
    Session,
    failure_of,
    final_refusal,
    is_id_row_conflict,
)

T = TypeVar("T")

SITES_PAUSE_S_MIN, SITES_PAUSE_S_MAX = 0.002, 0.1
"""Between two looks at who has confirmed a position; a replica confirms a flush within its own
round trip."""

NO_TRANSACTION = "25P01"
"""The warning to a COMMIT where no transaction is open."""


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
                await anyio.sleep(first_pause_s(again))
            return await self._stepping(self._step, unit)
        if unit.failure is None and self._router.trouble is not None:
            unit.failure = failure_of(self._router.trouble)
        pool = self._router.pool
        raise missed(
            unit,
            self._facts(unit),
            deadline_s=deadline_s,
            was_synchronous=self._was_synchronous,
            in_use=pool.lent if pool.is_exhausted else None,
        )

    async def _step(self, unit: Unit[T]) -> Applied[T]:
        """One attempt, or one question about the last one.

        Raises:
            Again: another step may help.
        """
        try:
            session = await self._router.borrow()
        except read_only.TakesNoWrites as error:
            self._takes_no_writes(unit, error)
        except psycopg.Error as error:
            # Whatever it was, no transaction was begun.
            unit.failure = failure_of(error)
            refused = final_refusal(error)
            if refused is not None and not unit.must_ask:
                words = f"{unit.id} was not applied"
                raise not_admitted(refused, words, self._facts(unit)) from error
            full = isinstance(error, Refused) and error.meaning is Meaning.FULL
            raise Again(Action.BACK_OFF if full else Action.REROUTE) from error
        unit.node = session.node
        try:
            if session.is_read_only:
                await self._require_writable(unit, session)
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
                attempt = await self._work(unit, session, begun_s)
                session.require_open()
                unit.doubt = attempt
                row = await session.commit(unit.plan.proof)
                await self._prove(unit, session, row)
                if row is not None:  # reads within a bound stand on it (``reads.staleness``)
                    self._router.watch.prove(attempt.evidence.timeline, attempt.sent_s)
        except psycopg.Error as error:
            await self._fail(unit, session, error)
        except Exception:
            await session.rollback()
            raise
        return self._applied(unit, attempt, resolved=False)

    async def _work(self, unit: Unit[T], session: Session, begun_s: float) -> Attempt[T]:
        """Everything of a transaction up to its COMMIT."""
        key = uuid.uuid4()
        if unit.plan.durability == "all_sites" and not self._may_see_replication:
            await self._require_sight(unit, session)
        session.begin(
            id_row.BEGIN_ROW,
            (unit.id, unit.row_attempt, key),
            begin=unit.plan.begin,
            preamble=unit.plan.preamble,
            prepare=unit.repeatable,  # what others do to a table must not end the only call
        )
        row = None
        if not unit.repeatable:
            # It is called at most once, so not before everything that can go wrong without it.
            row = await session.fetch_header()
            await self._require_synchronous(unit, session, id_row.parse_evidence(row))
            unit.was_called = True
        value = await unit.fn(Transaction(session))
        evidence = id_row.parse_evidence(row or await session.fetch_header())
        await self._require_synchronous(unit, session, evidence)
        return Attempt(
            value=value,
            key=key,
            node=session.node,
            evidence=evidence,
            begun_s=begun_s,
            sent_s=self._clock(),
        )

    async def _require_sight(self, unit: Unit[T], session: Session) -> None:
        """Check that our role can see what the sites confirm.

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
        self, unit: Unit[T], session: Session, evidence: id_row.WalEvidence
    ) -> None:
        """Check that there is a standby to wait for, if that is asked for."""
        if unit.plan.durability == "local" or evidence.synchronous:
            self._was_synchronous |= evidence.synchronous
            return
        await session.rollback()
        unit.failure = Failure(
            kind="client", message="synchronous_standby_names is empty on the primary"
        )
        if self._was_synchronous:  # and may be again in a moment: a standby has just been lost
            raise Again(Action.BACK_OFF)
        raise not_synchronous(unit, self._facts(unit))

    async def _prove(self, unit: Unit[T], session: Session, row: tuple[object, ...] | None) -> None:
        """After a COMMIT was answered: that it holds as safely as was asked for.

        Raises:
            CommitWarning: that is unknown; it is in doubt again.
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
        failure = unit.failure = failure_of(error, session)
        if unit.phase is AttemptPhase.BODY and is_id_row_conflict(error, id_row.ROW_TABLE):
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
        self._router.note_failure(session, failure)
        if action is Action.IN_DOUBT:
            unit.has_ended_itself = failure.sqlstate == NO_TRANSACTION
            raise Again(action) from error
        is_in_body, unit.doubt = unit.phase is AttemptPhase.BODY, None
        await session.rollback()
        if is_in_body and failure.is_read_only:
            await self._require_writable(unit, session)
        if action is Action.GIVE_UP:
            if failure.sqlstate in id_row.NOT_INSTALLED:
                await self._require_installed(unit, session)
            raise given_up(unit, failure, self._facts(unit)) from error
        self._require_repeatable(unit)
        raise Again(action) from error

    async def _require_writable(self, unit: Unit[T], session: Session) -> None:
        """The server of ``session`` has said that it takes no writes: ask it why.

        Raises:
            Again: it is not the primary, or the session was replaced; or it is maintenance, and
                the last attempt is in doubt, or this is the first look.
            ReadOnly: it is maintenance.
        """
        try:
            with self._talks.with_node(session.node):
                await self._router.require_writable(session)
        except read_only.TakesNoWrites as error:
            self._takes_no_writes(unit, error)
        except psycopg.Error as error:
            self._require_repeatable(unit)
            raise Again(Action.REROUTE) from error

    def _takes_no_writes(self, unit: Unit[T], error: read_only.TakesNoWrites) -> NoReturn:
        unit.failure = failure_of(error)
        unit.node = error.node
        if unit.must_ask:  # what became of it is unknown until writes are taken again
            raise Again(Action.BACK_OFF) from error
        if not unit.was_read_only:
            unit.was_read_only = True
            raise Again(Action.RETRY, pause_s=read_only.LOOK_AGAIN_S) from error
        raise takes_no_writes(unit, self._facts(unit)) from error

    async def _require_installed(self, unit: Unit[T], session: Session) -> None:
        """Tell a function's mistake from an id row that could not be written.

        Raises:
            NotInstalled: the table of id rows is not there, or is that of an earlier version.
        """
        with suppress(psycopg.Error), self._talks.with_node(session.node):
            if not (await session.fetch(id_row.IS_INSTALLED))[0][0]:
                words = f"{unit.id} was not applied: {id_row.AMISS}"
                raise NotInstalled(words, **self._facts(unit))

    async def _ask(self, unit: Unit[T], session: Session) -> Applied[T] | None:
        """Ask the id row what became of the last attempt, and make sure that the answer stays.

        Returns:
            The result if it took effect; None if it never will, and the next attempt may begin.

        Raises:
            AlreadyApplied: another call's attempt was applied under its number.
        """
        try:
            with self._talks.with_node(session.node):
                answer = await resolve(unit.id, unit.row_attempt, unit.plan, session)
                whose = id_row.whose(answer, unit.attempt_key)
                if whose == "ours":
                    # The question was a write of its own: what holds for it holds for the unit.
                    await self._prove(unit, session, await _now(unit, session))
        except psycopg.Error as error:
            failure = unit.failure = failure_of(error, session)
            action = decide(failure, AttemptPhase.BODY)
            self._router.note_failure(session, failure)
            await session.rollback()
            if failure.is_read_only:
                await self._require_writable(unit, session)
            if failure.is_of_access_rule:
                raise Unknown(
                    f"nobody knows whether {unit.id} was applied: its id row cannot be asked"
                    f" ({failure.message})",
                    attempt_key=unit.attempt_key,
                    **self._facts(unit),
                ) from error
            # To ask once more is always safe, so whatever else stands in the way may pass.
            gives_up = action is Action.GIVE_UP and failure.kind != "warning"
            raise Again(Action.BACK_OFF if gives_up else action) from error
        if unit.doubt is not None:
            self._observers.tell(
                DoubtResolved(
                    unit_id=unit.id,
                    node=session.node,
                    state="applied" if whose == "ours" else "void",
                    elapsed_s=self._clock() - unit.started_s,
                )
            )
        if whose == "nobody's" and unit.has_ended_itself:
            words = "its function has rolled back the transaction, which is not its own to end"
            raise NotApplied(f"{unit.id} was not applied: {words}", **self._facts(unit))
        if whose == "nobody's":
            unit.next_attempt()
            self._require_repeatable(unit)
            return None
        if whose == "ours" and unit.doubt is not None:
            return self._applied(unit, unit.doubt, resolved=True)
        raise AlreadyApplied(
            f"{unit.id} was applied by another call",
            attempt_key=answer.attempt_key,
            **self._facts(unit),
        )

    def _require_repeatable(self, unit: Unit[T]) -> None:
        if unit.was_called:
            last = f" ({unit.failure.message})" if unit.failure is not None else ""
            raise NotRepeated(f"{unit.id} was not applied{last}", **self._facts(unit))

    def _applied(self, unit: Unit[T], attempt: Attempt[T], *, resolved: bool) -> Applied[T]:
        return Applied(
            value=attempt.value,
            unit_id=unit.id,
            row_attempt=unit.row_attempt,
            attempt_key=attempt.key,
            node=attempt.node,
            timeline=attempt.evidence.timeline,
            lsn=attempt.evidence.lsn,
            attempts=unit.attempts,
            attempt_s=attempt.begun_s,
            elapsed_s=self._clock() - unit.started_s,
            resolved=resolved,
        )

    def _facts(self, unit: Unit[T]) -> Facts:
        return facts_of(unit, self._clock())


async def _now(unit: Unit[T], session: Session) -> tuple[object, ...] | None:
    """Where the WAL is now, as the proof of a commit says it; None if it is not asked for."""
    if unit.plan.durability != "all_sites":
        return None
    return (await session.fetch(durability.PROOF))[0]
