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
                    applied = [attempt for attempt, state in rows if state == "applied"]
                    attempt = applied[0] if applied else len(rows) + 1
                    state = await resolve(unit_id, attempt, plan, session)
                    return Outcome(unit_id=unit_id, applied=state == "applied", attempt=attempt)
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
