"""The only package that waits on psycopg.

Rules that hold for everything in here:

- Every wait has a deadline, and one that is missed closes the connection on the spot: it is never
  used again, and **no cancel request is sent**. psycopg's own clean-up sends one and waits for its
  effect; a server that went silent makes that 11 s (measured), and worse, a cancel request that
  reaches a COMMIT waiting for its synchronous standby makes the transaction visible though it is
  not replicated.
- What a server says in words is for people. Only its SQLSTATE decides (``refusals``).
- A session counts as one of the primary only after the server itself said that it is not in
  recovery; the same answer carries timeline and system identifier.
- Warnings in answer to COMMIT are errors here (``CommitWarning``): they say that the synchronous
  wait was cancelled (``src/backend/replication/syncrep.c``), and the commit is then in doubt.
- Statements that belong together are one packet (``exchange``): BEGIN, the id row and the first
  statement of the caller travel together, so a unit of work with one statement costs two round
  trips, not four. COMMIT is in none of them: it is sent when everything before it was answered.
"""

from replication.wire.connect import connect, session_to
from replication.wire.conninfo import Address
from replication.wire.copying import BLOCK_BYTES, Row, row_encoder
from replication.wire.errors import (
    CommitWarning,
    Lost,
    NotPrimary,
    Refused,
    RolledBack,
    StaleStatement,
    failure_of,
    final_refusal,
    is_id_row_conflict,
)
from replication.wire.lent import AsyncLentConnection, LentConnection
from replication.wire.line import Line
from replication.wire.pages import BinaryRows, Column, SelectedRows
from replication.wire.refusals import Meaning
from replication.wire.session import Session
from replication.wire.statement import Params, Query

__all__ = [
    "BLOCK_BYTES",
    "Address",
    "AsyncLentConnection",
    "BinaryRows",
    "Column",
    "CommitWarning",
    "LentConnection",
    "Line",
    "Lost",
    "Meaning",
    "NotPrimary",
    "Params",
    "Query",
    "Refused",
    "RolledBack",
    "Row",
    "SelectedRows",
    "Session",
    "StaleStatement",
    "connect",
    "failure_of",
    "final_refusal",
    "is_id_row_conflict",
    "row_encoder",
    "session_to",
]
