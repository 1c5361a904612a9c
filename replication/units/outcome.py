"""Asks the id rows what became of a unit of work: for a runner, or for a later process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import psycopg

from replication.errors import Facts, NotInstalled, ReadOnly, Unknown
from replication.primary.router import not_admitted
from replication.units import durability, id_row
from replication.units.unit import Outcome
from replication.wire import CommitWarning, Session, final_refusal

PAUSE_S = 0.1
"""Between two questions, when one had no reliable answer."""


async def ask_outcome(
    sessions: Callable[[], AbstractAsyncContextManager[Session]],
    unit_id: str,
    plan: durability.CommitPlan,
    *,
    deadline_s: float,
) -> Outcome:
    """What became of ``unit_id``; see ``Storage.outcome``.

    The id rows are looked through, and then the one that decides is asked in the way that cannot be
    taken back (``id_row``): the applied one, or the first that is not there yet.

    Raises:
        Unknown: no server gave an answer in time, the server does not let us ask, or there is no
            table of id rows that can be asked.
    """
    begun_s = time.monotonic()
    node: str | None = None
    last = "there is no primary"

    def facts(sqlstate: str | None) -> Facts:
        return Facts(
            unit_id=unit_id,
            node=node,
            sqlstate=sqlstate,
            elapsed_s=time.monotonic() - begun_s,
            attempts=0,
        )

    with anyio.move_on_after(deadline_s):
        while True:
            try:
                async with sessions() as session:
                    node = session.node
                    rows = await session.fetch(id_row.OUTCOMES, (unit_id,))
                    done = [attempt for attempt, state in rows if state == "applied"]
                    attempt = done[0] if done else len(rows) + 1
                    answer = await resolve(unit_id, attempt, plan, session)
                # A void that another process has written since the rows were read may already have
                # been followed by an attempt that was applied.
                if answer.state == "applied" or answer.is_new:
                    return Outcome(
                        unit_id=unit_id,
                        applied=answer.state == "applied",
                        attempt=attempt,
                        attempt_key=answer.attempt_key,
                    )
                last = "somebody runs it again and again"
                continue
            except (psycopg.Error, ReadOnly) as error:
                last = str(error)
                if (refused := final_refusal(error)) is not None:
                    known = facts(refused.sqlstate)
                    words = f"nobody knows whether {unit_id} was applied"
                    raise Unknown(str(not_admitted(refused, words, known)), **known) from error
                if error.sqlstate in id_row.NOT_INSTALLED:
                    last = f"{id_row.AMISS}. {NotInstalled.remedy}"
                    break
            await anyio.sleep(PAUSE_S)
    raise Unknown(
        f"nobody knows whether {unit_id} was applied: {last}",
        **facts(None),
    )


async def resolve(
    unit_id: str, attempt: int, plan: durability.CommitPlan, session: Session
) -> id_row.Answer:
    """``id_row.RESOLVE``, acknowledged under the same rule as the unit itself.

    Raises:
        psycopg.Error: there is no reliable answer; it may simply be asked again.
    """
    preamble = durability.plan(plan.durability).preamble
    session.begin(id_row.RESOLVE, (unit_id, attempt), preamble=preamble)
    answer = id_row.parse_answer(await session.fetch_header())
    row = await session.commit(plan.proof)
    if row is not None and not row[0]:
        raise CommitWarning(None, "synchronous replication was switched off during the question")
    return answer
