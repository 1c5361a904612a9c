"""Where reads that fork are a failure, and where PostgreSQL shows them without any fault: as data.

How long it holds follows from the durability, for every workload alike (``answers.HOLDS``). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaos.workloads.kind import IsolationName

ForkPlace = Literal["primary", "member", "everywhere"]
"""Units of work, which go through the primary; the reads that one member served; all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkPromise:
    """A row of the table."""

    isolation: IsolationName
    place: ForkPlace
    told_why: str = ""
    """Why reads may fork there: it is told, and no failure. Empty: none may."""


_STATEMENTS = (
    "each statement of READ COMMITTED has a snapshot of its own, and a read has two statements"
)
_ORDERS = (
    "a replica shows commits in the order of the WAL, the primary in the order in which they end:"
    " PostgreSQL does so without any fault"
)

PROMISES: tuple[ForkPromise, ...] = (
    # What a transaction sees changes from statement to statement (manual, 13.2.1).
    ForkPromise(isolation="read-committed", place="primary", told_why=_STATEMENTS),
    ForkPromise(isolation="read-committed", place="member", told_why=_STATEMENTS),
    ForkPromise(isolation="read-committed", place="everywhere", told_why=_STATEMENTS),
    # One snapshot a transaction (13.2.2), and one order of commits on each member.
    ForkPromise(isolation="repeatable-read", place="primary"),
    ForkPromise(isolation="repeatable-read", place="member"),
    ForkPromise(isolation="repeatable-read", place="everywhere", told_why=_ORDERS),
    ForkPromise(isolation="serializable", place="primary"),
    ForkPromise(isolation="serializable", place="member"),
    ForkPromise(isolation="serializable", place="everywhere", told_why=_ORDERS),
)
"""Three rows for each isolation."""


def promise_at(isolation: IsolationName, place: ForkPlace) -> ForkPromise:
    """The row of an isolation and a place."""
    return next(one for one in PROMISES if (one.isolation, one.place) == (isolation, place))
