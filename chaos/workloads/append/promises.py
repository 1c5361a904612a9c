"""What users are promised at each isolation level, by place of reading: as data.

How long it holds follows from the durability, for every workload alike (``answers.HOLDS``). The
levels are those of ``chaos/consistency/levels.py``. That they hold on a healthy PostgreSQL, and no
stronger ones, was measured (docs/reference/consistency.md). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaos.evidence.run import Run
from chaos.workloads.append import AppendOptions
from chaos.workloads.kind import IsolationName

ReadPlace = Literal["primary", "everywhere"]
"""Units of work alone, which go through the primary; or with the reads on all members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPromise:
    """A row of the table."""

    isolation: IsolationName
    place: ReadPlace
    level: str
    """The history there is VALID at this level."""
    told_at: str | None = None
    """What this stronger level forbids is told, and no failure."""
    told_why: str = ""


_FORK = (
    "a replica shows commits in the order of the WAL, the primary in the order in which they end:"
    " PostgreSQL does so without any fault"
)

PROMISES: tuple[LevelPromise, ...] = (
    # Each read of READ COMMITTED sees only what was committed; on a replica too what was committed
    # before in the order of the WAL, which the clock agrees with. What a transaction misses
    # (lost updates, read skew) is as the manual has it (13.2.1).
    LevelPromise(isolation="read-committed", place="primary", level="strong-read-committed"),
    LevelPromise(isolation="read-committed", place="everywhere", level="strong-read-committed"),
    # REPEATABLE READ is snapshot isolation (13.2.2): write skew belongs to it.
    LevelPromise(isolation="repeatable-read", place="primary", level="strong-snapshot-isolation"),
    LevelPromise(
        isolation="repeatable-read",
        place="everywhere",
        level="parallel-snapshot-isolation",
        told_at="snapshot-isolation",
        told_why=_FORK,
    ),
    LevelPromise(isolation="serializable", place="primary", level="strict-serializable"),
    # The reads on replicas are REPEATABLE READ: none of them is part of the serial order.
    LevelPromise(
        isolation="serializable",
        place="everywhere",
        level="parallel-snapshot-isolation",
        told_at="snapshot-isolation",
        told_why=_FORK,
    ),
)
"""Two rows for each isolation."""


def promises_of(run: Run) -> tuple[LevelPromise, ...]:
    """The rows that a run with this workload is held to, whether or not it may lose writes."""
    options = run.info.scenario.workload.options
    assert isinstance(options, AppendOptions)  # only such runs are judged here
    return tuple(one for one in PROMISES if one.isolation == options.isolation)
