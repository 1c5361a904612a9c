"""The id row of a unit of work: proves that it was applied, and by which call, or never will be.

Every attempt of a unit of work writes one row ``(id, attempt, attempt_key)`` in the same
transaction as its data, with a plain INSERT, and sends COMMIT only after the server has answered
that INSERT. So the row is there exactly when the data is there. The **number** counts the attempts
at an id, of all callers together. The **key** is random, drawn for each transaction that is begun:
it says whose the row is.

**A commit in doubt** (connection lost, silence, a cancelled synchronous wait) is resolved by one
statement, ``RESOLVE``, on the present primary. It tries to insert the number as ``void``:

- The attempt's transaction is still in flight: the INSERT waits for it, because it has the number.
- It was committed: the conflict turns the statement into an UPDATE, which returns ``applied``.
- It was not: the ``void`` row is in, and by the primary key the attempt can never commit any more,
  however late a packet arrives. Not only an answer, a fence.

**Why the key is compared.** ``applied`` says that an attempt with this number was committed, not
that ours was. A failover may lose our COMMIT, and the number is free again; another caller of the
same id, who comes to the new primary first, takes it. Then the unit is applied, but by that call:
what our function returned is in no table. So ``applied`` with our key is ``Applied``; with another
key, or without one (a process of an earlier version), it is ``AlreadyApplied``. Nothing ever
changes the key of a row.

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

**Why one caller at most is told that it was its own.** There is one applied row at most, it has one
key, and one call has drawn that key. Exactly one is told so unless that call ends without an answer
(its process died, or its deadline passed). A process of an earlier version does not compare keys:
until the last one has ended it may still take another's row for its own.

With asynchronous replication all of this holds only up to what a failover takes away: that is
the promise of that mode, not of this table. docs/decisions/0003-in-doubt-commits.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from psycopg.rows import TupleRow

from replication.wire.wal import timeline_of

TABLE_STATEMENTS: tuple[str, ...] = (
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
"""As the first version made it; ``schema.own`` has it as a migration."""

KEY_STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE bascule.unit_of_work ADD COLUMN IF NOT EXISTS attempt_key uuid",
)
"""Changes the catalogue only. Without a default, and NULL where it was not given: processes that do
not know the column still work."""

SCHEMA_STATEMENTS = (*TABLE_STATEMENTS, *KEY_STATEMENTS)
"""Idempotent. Run by the owner of the database; the application's role needs SELECT, INSERT and
UPDATE on the table."""

ROW_TABLE = ("bascule", "unit_of_work")

IS_INSTALLED = """
    SELECT EXISTS (
        SELECT FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'bascule' AND c.relname = 'unit_of_work'
          AND a.attname = 'attempt_key' AND NOT a.attisdropped
    )
"""
"""Whether the table is there, in this version's form. Needs no right."""

NOT_INSTALLED = ("3F000", "42P01", "42703")
"""What a statement on the table says where it is not: no such schema, table or column."""

AMISS = "bascule.unit_of_work is not there, or is that of an earlier version"

BEGIN_ROW = (
    "INSERT INTO bascule.unit_of_work (id, attempt, attempt_key, state)"
    " VALUES (%s, %s, %s, 'applied')"
    " RETURNING pg_current_wal_insert_lsn()::text, pg_walfile_name(pg_current_wal_insert_lsn()),"
    " current_setting('synchronous_standby_names') <> ''"
)
"""Returns a row for ``parse_evidence``. The position is read before COMMIT, so it is a lower bound
of the commit record's."""

RESOLVE = (
    "INSERT INTO bascule.unit_of_work AS u (id, attempt, state) VALUES (%s, %s, 'void')"
    " ON CONFLICT (id, attempt) DO UPDATE SET asked = u.asked + 1"
    " RETURNING state, asked = 0, attempt_key"
)
"""Returns a row for ``parse_answer``."""

OUTCOMES = "SELECT attempt, state FROM bascule.unit_of_work WHERE id = %s ORDER BY attempt"

LOOK = "SELECT state, attempt_key FROM bascule.unit_of_work WHERE id = %s AND attempt = %s"
"""Returns a row for ``token.standing_of``, or none. A look only: it proves nothing for later."""

RowState = Literal["applied", "void"]

Whose = Literal["ours", "another's", "nobody's"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What ``RESOLVE`` says of an attempt.

    ``is_new``: it was not known before that it is void, so no attempt with a higher number was
    begun. ``attempt_key``: that of the attempt that was applied; None if it is void, or was written
    by a process of an earlier version.
    """

    state: RowState
    is_new: bool
    attempt_key: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalEvidence:
    """Where in the WAL a transaction was written: ``lsn`` as text (``0/3000060``).

    ``synchronous``: the server had synchronous standbys to wait for.
    """

    timeline: int
    lsn: str
    synchronous: bool


def parse_evidence(row: TupleRow) -> WalEvidence:
    """The row that ``BEGIN_ROW`` returns."""
    lsn, wal_file, synchronous = row
    return WalEvidence(
        timeline=timeline_of(str(wal_file)), lsn=str(lsn), synchronous=bool(synchronous)
    )


def parse_answer(row: TupleRow) -> Answer:
    """The row that ``RESOLVE`` returns.

    Raises:
        ValueError: a state that this version does not know.
    """
    state, is_new, key = row
    if state not in get_args(RowState):
        raise ValueError(f"bascule.unit_of_work has state {state!r}")
    return Answer(state=state, is_new=bool(is_new), attempt_key=key)


def whose(answer: Answer, attempt_key: UUID | None) -> Whose:
    """Whose attempt was applied under the number that was asked for; ``nobody's`` if it is void.

    Args:
        answer: what ``RESOLVE`` said.
        attempt_key: that of our attempt whose COMMIT was sent; None if we have sent none.
    """
    if answer.state == "void":
        return "nobody's"
    is_ours = attempt_key is not None and answer.attempt_key == attempt_key
    return "ours" if is_ours else "another's"
