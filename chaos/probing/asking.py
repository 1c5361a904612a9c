"""Asks one node one thing as somebody, over its console: a login through the node's own door.

The console is a connection from the node's own machine. So a node is asked as long as it has power,
whatever is cut: those of its own site would still reach it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import psycopg

from chaos.evidence.access import AskedOutcome
from cluster.patroni.config import POSTGRES_PORT
from cluster.raised import RaisedCluster
from cluster.substrates.relay import relay
from replication import Credentials, StorageError
from replication.wire import Address, connect

TIMEOUT_S = 3.0
"""For a login and an answer: milliseconds when all is well; a node that hangs is not waited for."""
DIGEST_CHARACTERS = 16
WORDS_MAX = 200

NOT_ADMITTED = "28"
"""Class of SQLSTATE: no LOGIN, a wrong password, no rule of pg_hba.conf (PostgreSQL, appendix A).
"""
NO_RIGHT = "42501"
READ_ONLY = "25006"
"""A replica says so of a statement that writes, before it looks at rights."""
INSTEAD_OF_AN_ANSWER = ("08", "40", "53", "57", "58")
"""Classes: the connection broke off, the question was cancelled or conflicts with replay, there is
no room, the server starts or stops. It says nothing about rights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionEnd:
    """What became of a question."""

    begin_s: float
    end_s: float
    outcome: AskedOutcome
    rows: int | None = None
    digest: str | None = None
    sqlstate: str | None = None
    words: str | None = None
    logged_in: bool = False
    """Statements were run; else it ended at the door."""


async def ask(
    cluster: RaisedCluster, node: str, login: Credentials, sql: Sequence[str], *, mark: str
) -> QuestionEnd:
    """Log in, run statements in one session, and log out.

    Args:
        cluster: has the node.
        node: who is asked.
        login: who asks.
        sql: the statements; the rows of the last one are the answer.
        mark: goes before each, as a comment: it is then in the node's log of statements, and beside
            errors.
    """
    begin_s = time.monotonic()
    found: QuestionEnd | None = None
    with anyio.move_on_after(TIMEOUT_S):
        async with relay(cluster.substrate.console, node, POSTGRES_PORT) as port:
            address = Address(node=node, host="127.0.0.1", port=port)
            found = await _ask_at(address, login, [f"/* {mark} */ {one}" for one in sql], begin_s)
    if found is not None:
        return found
    words = f"no answer within {TIMEOUT_S:g} s"
    return QuestionEnd(begin_s=begin_s, end_s=time.monotonic(), outcome="unanswered", words=words)


async def _ask_at(
    address: Address, login: Credentials, sql: Sequence[str], begin_s: float
) -> QuestionEnd:
    logged_in = False
    try:
        session = await connect(address, login, deadline_s=TIMEOUT_S)
        logged_in = True
        try:
            for statement in sql:
                # From the scenario, which whoever starts a drill is answerable for.
                rows = await session.fetch(statement)
        finally:
            await session.close()
    except (psycopg.Error, StorageError, TimeoutError) as error:
        sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
        return QuestionEnd(
            begin_s=begin_s,
            end_s=time.monotonic(),
            outcome=outcome_of(sqlstate),
            sqlstate=sqlstate,
            words=" ".join(str(error).split())[:WORDS_MAX],
            logged_in=logged_in,
        )
    return QuestionEnd(
        begin_s=begin_s,
        end_s=time.monotonic(),
        outcome="rows",
        rows=len(rows),
        digest=digest_of(rows),
        logged_in=True,
    )


def outcome_of(sqlstate: str | None) -> AskedOutcome:
    """What an error says about rights. Pure.

    Args:
        sqlstate: of the error; None: no server has given one.
    """
    if sqlstate is None or sqlstate.startswith(INSTEAD_OF_AN_ANSWER):
        return "unanswered"
    if sqlstate in {NO_RIGHT, READ_ONLY} or sqlstate.startswith(NOT_ADMITTED):
        return "refused"
    return "error"


def digest_of(rows: Sequence[Sequence[object]]) -> str:
    """The same for the same rows in any order. Pure."""
    lines = sorted(repr(tuple(row)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGEST_CHARACTERS]
