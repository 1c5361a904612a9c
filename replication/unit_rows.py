"""The id row of a unit of work: what proves that it was applied, or that it never will be.

Every attempt of a unit of work writes one row ``(id, attempt)`` in the same transaction as its
data, with a plain INSERT, and sends COMMIT only after the server has answered that INSERT. So the
row is there exactly when the data is there.

**A commit in doubt** (connection lost, silence, a cancelled synchronous wait) is resolved by one
statement, ``RESOLVE``, on whoever is the primary now. It tries to insert the same key as ``void``:

- The attempt's transaction is still in flight: the INSERT waits for it, because it holds the key.
- It was committed: the conflict turns the statement into an UPDATE, which returns ``applied``.
- It was not: the ``void`` row is in, and by the unique key the attempt can never commit any more,
  however late a packet arrives. Not only an answer, a fence.

**Why the answer can be believed after a failover.** In both cases ``RESOLVE`` writes (that is what
the counter ``asked`` is for), so it has a commit of its own, and that commit is acknowledged under
the same synchronous rule as any other. The WAL is a sequence: where that commit record is safe,
the one it saw is safe too. A mere SELECT could see a commit that is visible on the primary but not
yet on any standby, and that a failover would take back. If the RESOLVE is itself in doubt, it is
simply sent again; it changes nothing but the counter.

**Why a unit takes effect at most once.** Attempt *n + 1* is begun only after an acknowledged
RESOLVE said that attempt *n* is void, and a void row never changes. An attempt whose COMMIT was
never sent keeps its number. So all calls with one id, from whatever process, walk the numbers
1, 2, 3... in the same order and stop at the first that is applied: there is one at most.

With asynchronous replication all of this holds only up to what a failover takes away: that is
the promise of that mode, not of this table. docs/decisions/0003-in-doubt-commits.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg.rows import TupleRow

SCHEMA_STATEMENTS: tuple[str, ...] = (
    "CREATE SCHEMA IF NOT EXISTS bascule",
    """
    CREATE TABLE IF NOT EXISTS bascule.unit_of_work (
        id text NOT NULL,
        attempt integer NOT NULL CHECK (attempt > 0),
        state text NOT NULL CHECK (state IN ('applied', 'void')),
        asked integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id, attempt)
    )
    """,
)
"""Idempotent. Run by whoever owns the database; the application's role needs SELECT, INSERT and
UPDATE on the table."""

ROW_TABLE = ("bascule", "unit_of_work")

BEGIN_ROW = (
    "INSERT INTO bascule.unit_of_work (id, attempt, state) VALUES (%s, %s, 'applied')"
    " RETURNING pg_current_wal_insert_lsn()::text, pg_walfile_name(pg_current_wal_insert_lsn()),"
    " current_setting('synchronous_standby_names') <> ''"
)
"""Returns a row for ``parse_evidence``. The position is read before COMMIT, so it is a lower bound
of the commit record's."""

RESOLVE = (
    "INSERT INTO bascule.unit_of_work AS u (id, attempt, state) VALUES (%s, %s, 'void')"
    " ON CONFLICT (id, attempt) DO UPDATE SET asked = u.asked + 1"
    " RETURNING state, asked = 0"
)

OUTCOMES = "SELECT attempt, state FROM bascule.unit_of_work WHERE id = %s ORDER BY attempt"

IS_APPLIED = (
    "SELECT EXISTS (SELECT FROM bascule.unit_of_work"
    " WHERE id = %s AND attempt = %s AND state = 'applied')"
)

State = Literal["applied", "void"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What ``RESOLVE`` says of an attempt.

    ``is_new``: nobody knew before that it is void, so no attempt with a higher number was begun.
    """

    state: State
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where in the WAL a transaction was written: ``lsn`` as text (``0/3000060``).

    ``synchronous``: the server had synchronous standbys to wait for.
    """

    timeline: int
    lsn: str
    synchronous: bool


def parse_evidence(row: TupleRow) -> Evidence:
    """The row that ``BEGIN_ROW`` returns.

    The timeline is the first eight hexadecimal digits of the WAL file's name: the one that the
    server is inserting into. ``pg_control_checkpoint()`` still shows the old one after a promotion
    until the next checkpoint has ended.
    """
    lsn, wal_file, synchronous = row
    return Evidence(
        timeline=int(str(wal_file)[:8], 16), lsn=str(lsn), synchronous=bool(synchronous)
    )


def parse_answer(row: TupleRow) -> Answer:
    """The row that ``RESOLVE`` returns.

    Raises:
        ValueError: a state that this version does not know.
    """
    match row[0]:
        case "applied":
            return Answer(state="applied", is_new=bool(row[1]))
        case "void":
            return Answer(state="void", is_new=bool(row[1]))
        case other:
            raise ValueError(f"bascule.unit_of_work has state {other!r}")
