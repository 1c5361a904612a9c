"""What a failure means and what to do about it. Pure: values in, values out.

Two questions decide: what did the server say (or did it go silent), and had COMMIT been sent?
Before COMMIT nothing can have taken effect, so the only question is whether another try makes
sense. Once COMMIT was sent, only an error that PostgreSQL raises *before* it writes the commit
record proves that nothing happened; everything else is in doubt. Asking the id row costs a round
trip, a wrong guess costs a doubled or a lost entry, so what is not in the table is in doubt.

Codes and names: PostgreSQL 18 manual, appendix A. Retries: section 13.5. Why an error in answer
to COMMIT means "rolled back": ``RecordTransactionAbort`` panics rather than abort what was
already committed (``src/backend/access/transam/xact.c``), and a cancelled synchronous wait is a
WARNING, not an error (``src/backend/replication/syncrep.c``, ``SyncRepWaitForLSN``).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal


class Phase(enum.Enum):
    """How far the attempt had come."""

    BODY = "before COMMIT was sent"
    COMMIT = "after COMMIT was sent"


class Action(enum.Enum):
    """What to do next."""

    RETRY = "the transaction was rolled back: run it again on the same primary"
    BACK_OFF = "the server is out of something: run it again, but give it time"
    REROUTE = "this connection, or this server, is of no use: find the primary, run it again"
    IN_DOUBT = "it may have taken effect: ask the id row, do not run it again"
    GIVE_UP = "it did not take effect, and would fail again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure, as far as a decision needs it.

    ``kind``: the server said ``error``; the connection was ``lost`` or went silent; the server
    gave a ``warning`` in answer to COMMIT; or the ``client`` refused to send the statement.
    """

    kind: Literal["error", "lost", "warning", "client"]
    sqlstate: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table: a SQLSTATE (five characters) or a class of them (two)."""

    code: str
    name: str
    before: Action
    at_commit: Action
    why: str


_RETRY, _BACK_OFF, _REROUTE = Action.RETRY, Action.BACK_OFF, Action.REROUTE
_IN_DOUBT, _GIVE_UP = Action.IN_DOUBT, Action.GIVE_UP


def _rule(code: str, name: str, before: Action, at_commit: Action, why: str) -> Rule:
    return Rule(code=code, name=name, before=before, at_commit=at_commit, why=why)


RULES: tuple[Rule, ...] = (
    _rule("08", "connection exception", _REROUTE, _IN_DOUBT, "the connection is gone"),
    _rule("08007", "transaction resolution unknown", _REROUTE, _IN_DOUBT, "says so itself"),
    _rule("23", "integrity constraint violation", _GIVE_UP, _GIVE_UP, "a deferred one at COMMIT"),
    _rule("25006", "read-only transaction", _REROUTE, _IN_DOUBT, "no longer the primary"),
    _rule("25P02", "in failed transaction", _GIVE_UP, _GIVE_UP, "COMMIT answered with ROLLBACK"),
    _rule("25P03", "idle in transaction timeout", _GIVE_UP, _IN_DOUBT, "the function is slow"),
    _rule("40000", "transaction rollback", _RETRY, _RETRY, "rolled back"),
    _rule("40001", "serialization failure", _RETRY, _RETRY, "rolled back (13.5)"),
    _rule("40002", "transaction integrity constraint", _GIVE_UP, _GIVE_UP, "rolled back"),
    _rule("40003", "statement completion unknown", _REROUTE, _IN_DOUBT, "says so itself"),
    _rule("40P01", "deadlock detected", _RETRY, _RETRY, "rolled back (13.5)"),
    _rule("53100", "disk full", _GIVE_UP, _IN_DOUBT, "another try would not help"),
    _rule("53200", "out of memory", _BACK_OFF, _IN_DOUBT, "may pass"),
    _rule("53300", "too many connections", _BACK_OFF, _IN_DOUBT, "may pass; do not hammer"),
    _rule("55P03", "lock not available", _BACK_OFF, _IN_DOUBT, "somebody else holds it"),
    _rule("57014", "query canceled", _GIVE_UP, _IN_DOUBT, "somebody wants it to end"),
    _rule("57P01", "admin shutdown", _REROUTE, _IN_DOUBT, "the backend was ended"),
    _rule("57P02", "crash shutdown", _REROUTE, _IN_DOUBT, "the server went down"),
    _rule("57P03", "cannot connect now", _REROUTE, _IN_DOUBT, "starting up or going down"),
    _rule("57P05", "idle session timeout", _REROUTE, _IN_DOUBT, "the session was ended"),
    _rule("P0", "PL/pgSQL error", _GIVE_UP, _GIVE_UP, "raised by a trigger, deferred at COMMIT"),
)
"""Anything else: ``GIVE_UP`` before COMMIT (a mistake of the statement: 0A, 22, 28, 42...),
``IN_DOUBT`` after it."""

_BY_CODE = {rule.code: rule for rule in RULES}


def decide(failure: Failure, phase: Phase) -> Action:
    """What to do about ``failure`` when the attempt was in ``phase``.

    The longest code that matches decides: all five characters first, then the class.
    """
    at_commit = phase is Phase.COMMIT
    if failure.kind == "lost":
        return Action.IN_DOUBT if at_commit else Action.REROUTE
    if failure.kind == "error" and failure.sqlstate is not None:
        rule = _BY_CODE.get(failure.sqlstate) or _BY_CODE.get(failure.sqlstate[:2])
        if rule is not None:
            return rule.at_commit if at_commit else rule.before
    return Action.IN_DOUBT if at_commit else Action.GIVE_UP
