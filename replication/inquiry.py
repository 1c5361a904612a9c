"""Asks what became of a unit of work, long after or from another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import psycopg

from replication import unit_rows
from replication.durability import Plan
from replication.errors import Facts, Unknown
from replication.runner import resolve
from replication.units import Outcome
from replication.wire import Session

PAUSE_S = 0.1
"""Between two questions, when one had no answer that could be believed."""


async def ask_outcome(
    sessions: Callable[[], AbstractAsyncContextManager[Session]],
    unit_id: str,
    plan: Plan,
    *,
    deadline_s: float,
) -> Outcome:
    """What became of ``unit_id``; see ``Storage.outcome``.

    The id rows are looked through, and then the one that decides is asked in the way that cannot be
    taken back (``unit_rows``): the applied one, or the first that is not there yet.

    Raises:
        Unknown: nobody gave an answer in time.
    """
    begun_s = time.monotonic()
    node: str | None = None
    last = "there is no primary"
    with anyio.move_on_after(deadline_s):
        while True:
            try:
                async with sessions() as session:
                    node = session.node
                    rows = await session.fetch(unit_rows.OUTCOMES, (unit_id,))
                    done = [attempt for attempt, state in rows if state == "applied"]
                    attempt = done[0] if done else len(rows) + 1
                    answer = await resolve(unit_id, attempt, plan, session)
                # A void that somebody else has written since the rows were read may already have
                # been followed by an attempt that was applied.
                if answer.state == "applied" or answer.is_new:
                    applied_it = answer.state == "applied"
                    return Outcome(unit_id=unit_id, applied=applied_it, attempt=attempt)
                last = "somebody runs it again and again"
                continue
            except psycopg.Error as error:
                last = str(error)
            await anyio.sleep(PAUSE_S)
    raise Unknown(
        f"nobody knows whether {unit_id} was applied: {last}",
        **Facts(
            unit_id=unit_id,
            node=node,
            sqlstate=None,
            elapsed_s=time.monotonic() - begun_s,
            attempts=0,
        ),
    )
