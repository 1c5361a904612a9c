"""What a failure means and what to do about it. Pure: values in, values out.

Two questions decide: is the session alive, and was COMMIT sent?

- **The server answered with an ERROR.** The transaction was rolled back, whatever the SQLSTATE,
  and in answer to COMMIT too: ``RecordTransactionAbort`` panics rather than abort what was already
  committed (``src/backend/access/transam/xact.c``), and a cancelled synchronous wait is a WARNING,
  not an error (``src/backend/replication/syncrep.c``, ``SyncRepWaitForLSN``). So the only question
  is whether another try makes sense. A trigger, a function or a foreign data wrapper may raise any
  SQLSTATE, so no ERROR proves that our server is gone.
- **The connection is broken**, or the server ended it (FATAL, PANIC). Before COMMIT nothing can
  have taken effect, and the primary is searched for again; after COMMIT the outcome is unknown.
- **The error is not PostgreSQL's**: it has no non-localized severity. PgBouncer, for one, answers
  for a server that it has lost. After COMMIT the outcome is unknown.
- **The client** refused, or closed the connection itself: this says nothing about the server.

Codes and names: PostgreSQL 18 manual, appendix A. Severities: section 54.8, field ``V``. Retries:
section 13.5.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal


class AttemptPhase(enum.Enum):
    """How far the attempt has come."""

    BODY = "before COMMIT was sent"
    COMMIT = "after COMMIT was sent"


class Action(enum.Enum):
    """What to do next."""

    RETRY = "the transaction was rolled back: run it again on the same primary"
    BACK_OFF = "the server is out of something: run it again, but give it time"
    REROUTE = "this connection, or this server, cannot be used: find the primary, run it again"
    IN_DOUBT = "it may have taken effect: ask the id row, do not run it again"
    GIVE_UP = "it did not take effect, and would fail again"


Severity = Literal["ERROR", "FATAL", "PANIC"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure, as far as a decision needs it.

    ``kind``: the server said ``error``; the connection was ``lost`` or went silent; the server
    gave a ``warning`` in answer to COMMIT; or the ``client`` refused, or closed the connection.
    ``severity``: the server's word for it, not localized; None if PostgreSQL did not send it.
    ``source_function``: the server's function that raised it, if it says so.
    """

    kind: Literal["error", "lost", "warning", "client"]
    sqlstate: str | None = None
    message: str = ""
    severity: Severity | None = None
    source_function: str | None = None
    is_stale_statement: bool = False
    """A statement that the session had prepared could not be run as such: the server refused it
    before it began, so the transaction is rolled back, also where it was the COMMIT."""
    is_unsent: bool = False
    """What failed was never sent, also where it was the COMMIT."""

    @property
    def is_read_only(self) -> bool:
        """The server took no writes; ``read_only`` asks it why."""
        return self.kind == "error" and self.sqlstate == "25006"

    @property
    def is_of_access_rule(self) -> bool:
        """A table, or a column of it, is not there, or may not be used (class 42)."""
        return (self.sqlstate or "").startswith("42")

    @property
    def is_raised_by_program(self) -> bool:
        """SQL of the application chose the SQLSTATE, or passed on another server's."""
        return self.source_function in _PROGRAMS


_PROGRAMS = ("exec_stmt_raise", "pgfdw_report_error", "dblink_res_error")
"""Functions that raise what they are told (``src/pl/plpgsql/src/pl_exec.c``,
``contrib/postgres_fdw/connection.c``, ``contrib/dblink/dblink.c``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table: a SQLSTATE (five characters) or a class of them (two).

    ``error``: the server's ERROR, before COMMIT or in answer to it. ``ended``: the session ended
    with it, or never began, before COMMIT.
    """

    code: str
    name: str
    error: Action
    ended: Action
    why: str


_RETRY, _BACK_OFF, _REROUTE = Action.RETRY, Action.BACK_OFF, Action.REROUTE
_GIVE_UP = Action.GIVE_UP


def _rule(code: str, name: str, error: Action, ended: Action, why: str) -> Rule:
    return Rule(code=code, name=name, error=error, ended=ended, why=why)


RULES: tuple[Rule, ...] = (
    _rule("08", "connection exception", _GIVE_UP, _REROUTE, "as an ERROR another server's"),
    _rule("23", "integrity constraint violation", _GIVE_UP, _REROUTE, "would come again"),
    _rule("25006", "read-only transaction", _GIVE_UP, _REROUTE, "why, `read_only` asks"),
    _rule("25P02", "in failed transaction", _GIVE_UP, _REROUTE, "COMMIT answered with ROLLBACK"),
    _rule("25P03", "idle in transaction timeout", _GIVE_UP, _GIVE_UP, "the function is slow"),
    _rule("25P04", "transaction timeout", _GIVE_UP, _GIVE_UP, "the function is slow"),
    _rule("40000", "transaction rollback", _RETRY, _REROUTE, "rolled back"),
    _rule("40001", "serialization failure", _RETRY, _REROUTE, "rolled back (13.5)"),
    _rule("40002", "transaction integrity constraint", _GIVE_UP, _REROUTE, "would come again"),
    _rule("40003", "statement completion unknown", _GIVE_UP, _REROUTE, "rolled back if an ERROR"),
    _rule("40P01", "deadlock detected", _RETRY, _REROUTE, "rolled back (13.5)"),
    _rule("53100", "disk full", _GIVE_UP, _GIVE_UP, "another try would not help"),
    _rule("53200", "out of memory", _BACK_OFF, _BACK_OFF, "may pass"),
    _rule("53300", "too many connections", _BACK_OFF, _BACK_OFF, "may pass; do not hammer"),
    _rule("55P03", "lock not available", _BACK_OFF, _BACK_OFF, "somebody else holds it"),
    _rule("57014", "query canceled", _GIVE_UP, _REROUTE, "somebody wants it to end"),
    _rule("57P01", "admin shutdown", _GIVE_UP, _REROUTE, "the backend was ended"),
    _rule("57P02", "crash shutdown", _GIVE_UP, _REROUTE, "the server went down"),
    _rule("57P03", "cannot connect now", _GIVE_UP, _REROUTE, "starting up or going down"),
    _rule("57P05", "idle session timeout", _GIVE_UP, _REROUTE, "the session was ended"),
    _rule("P0", "PL/pgSQL error", _GIVE_UP, _REROUTE, "raised by a function or a trigger"),
)
"""Anything else: ``GIVE_UP`` if the server, or a pooler in its place, has said so (a mistake of a
statement: 0A, 22, 42; a login that is refused: 28, 3D), ``REROUTE`` if the connection is gone.
Where a program has raised what is a reason to ``BACK_OFF``, the server lacks nothing: ``GIVE_UP``.
"""

_BY_CODE = {rule.code: rule for rule in RULES}


def decide(failure: Failure, phase: AttemptPhase) -> Action:
    """What to do about ``failure`` when the attempt was in ``phase``.

    The longest code that matches decides: all five characters first, then the class.
    """
    if failure.is_stale_statement:
        return Action.RETRY
    is_answer = failure.kind == "error" and failure.severity == "ERROR"
    if phase is AttemptPhase.COMMIT and not (is_answer or failure.is_unsent):
        return Action.IN_DOUBT
    if failure.kind in ("client", "warning"):
        return Action.GIVE_UP
    code = failure.sqlstate or ""
    rule = _BY_CODE.get(code) or _BY_CODE.get(code[:2])
    if rule is not None and is_answer:
        lacks_nothing = rule.error is Action.BACK_OFF and failure.is_raised_by_program
        return Action.GIVE_UP if lacks_nothing else rule.error
    if rule is not None:
        return rule.ended
    return Action.REROUTE if failure.kind == "lost" else Action.GIVE_UP


def is_lost(failure: Failure) -> bool:
    """Whether ``failure`` says: search for the primary before its server is used again."""
    return decide(failure, AttemptPhase.BODY) is Action.REROUTE
