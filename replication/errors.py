"""Everything that ``replication`` raises. One root; what is known is in fields, not only in words.

The class answers the question that matters to the caller: did it take effect?

- ``NotApplied``: certainly not; it may be run again. Its kinds say why, and what would help.
- ``Unknown``: no server could be asked before the deadline. ``Storage.outcome`` asks later; calling
  ``Storage.run`` again with the same ``unit_id`` asks first, and applies the unit only if it was
  not applied.
- ``NotDurable``: yes, but not yet as safely as was asked for.
- ``AlreadyApplied``: yes, by another call with the same ``unit_id``.
- ``ReadFailed``: it was only a read.
- ``NotOpen``: no server was asked anything.
"""

from __future__ import annotations

from typing import ClassVar, TypedDict, Unpack
from uuid import UUID


class Facts(TypedDict):
    """The fields of every error, by name."""

    unit_id: str | None
    node: str | None
    sqlstate: str | None
    elapsed_s: float
    attempts: int


class StorageError(Exception):
    """The root of the package's errors.

    Args:
        message: one sentence for people.
        unit_id: the unit of work; None for a read.
        node: the member that was last spoken to, if any.
        sqlstate: the last SQLSTATE (PostgreSQL manual, appendix A), if a server gave one.
        elapsed_s: seconds since the call.
        attempts: transactions that were begun (0 when there never was a connection).
    """

    remedy: ClassVar[str | None] = None
    """What would help, for people; part of the message."""

    def __init__(self, message: str, **facts: Unpack[Facts]) -> None:
        super().__init__(f"{message}. {self.remedy}" if self.remedy else message)
        self.unit_id = facts["unit_id"]
        self.node = facts["node"]
        self.sqlstate = facts["sqlstate"]
        self.elapsed_s = facts["elapsed_s"]
        self.attempts = facts["attempts"]


class NotApplied(StorageError):
    """The unit of work certainly did not take effect."""


class DeadlineExceeded(NotApplied):
    """The deadline passed; the unit of work certainly did not take effect."""


class NoPrimary(DeadlineExceeded):
    """The deadline passed and no transaction could even be begun on a primary."""


class PoolExhausted(DeadlineExceeded):
    """The deadline passed while all sessions to the primary were in use by others."""

    remedy = (
        "More is asked than the sessions can carry: raise sessions_max if the server has room,"
        " shorten the units of work, or take in less"
    )


class NotAdmitted(NotApplied):
    """The server does not let us in: user, password, database or method (SQLSTATE 28..., 3D000,
    42501, 55000)."""

    remedy = (
        "Check user, password and database, whether the role may connect to it, and the server's"
        " pg_hba.conf"
    )


class StartRefused(NotAdmitted):
    """What takes our connections is not PostgreSQL itself, or an old one: it refuses what every
    session asks for at its start, or drops it (SQLSTATE 08P01, 0A000, 22..., 42...)."""

    remedy = (
        "Connect to PostgreSQL itself (15 or later), not to a pooler such as PgBouncer: what keeps"
        " the promises is set in the start packet (options), and a storage pools by itself"
    )


class NotInstalled(NotApplied):
    """The table of id rows is not there, or is that of an earlier version, or those of bulk loads
    are not there (42703, 42P01, 3F000)."""

    remedy = (
        "The owner of the tables runs replication.schema.install; other processes, those of earlier"
        " versions too, may work meanwhile"
    )


class ServerFull(NotApplied):
    """The server takes no more connections, or is out of memory (SQLSTATE 53200, 53300)."""

    remedy = "Lower sessions_max over all clients, or raise the server's max_connections"


class DiskFull(NotApplied):
    """The server's disk is full (SQLSTATE 53100)."""

    remedy = "Free space on the primary: look at slots that hold back WAL first"


class ReadOnly(NotApplied):
    """The primary takes no writes: ``default_transaction_read_only`` is on for the database, the
    role or the server (SQLSTATE 25006), as it is for maintenance. Reads are served."""

    remedy = (
        "It was set with ALTER DATABASE, ROLE or SYSTEM; when it is reset, writes go on by"
        " themselves: try again later"
    )


class StatementTimeout(NotApplied):
    """A statement was cancelled, by its timeout or on request (SQLSTATE 57014)."""

    remedy = "Make the statement quicker, or give it more with statement_timeout_s"


class NotRepeated(NotApplied):
    """Another try might succeed, but its function may not be run twice."""

    remedy = "Whether what it did outside of the transaction can be repeated is for you to say"


class NotSynchronous(NotApplied):
    """The durability asked for is not available: the primary has no synchronous standby."""

    remedy = (
        "Set Patroni's synchronous_mode (best with synchronous_mode_strict), or ask for"
        " durability='local' and accept that a failover may lose it"
    )


class CircuitOpen(NotApplied):
    """Too many units of work failed one after the other: nothing was tried.

    ``retry_after_s``: when the next one will be.
    """

    def __init__(self, message: str, *, retry_after_s: float, **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.retry_after_s = retry_after_s


class Unknown(StorageError):
    """The commit was in doubt and its id row could not be asked before the deadline.

    ``attempt_key``: the key of the attempt in doubt, None if this call has sent no COMMIT. If
    ``storage.outcome(unit_id)`` later says ``applied`` with the same key, it was this call's.
    """

    remedy = "Ask later with storage.outcome(unit_id), or run it again with the same unit_id"

    def __init__(
        self, message: str, *, attempt_key: UUID | None = None, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.attempt_key = attempt_key


class CommitInDoubt(Unknown):
    """A commit on a lent connection was in doubt: such a transaction has no id row to be asked."""

    remedy = "Look for what it wrote; a unit of work would have found out by itself"


class NotOpen(StorageError):
    """The storage was not opened, was closed, or was opened by the process that forked this one."""


class NotDurable(StorageError):
    """It took effect and a quorum has it, but the durability asked for was not seen in time.

    ``missing``: the sites that have not confirmed it.
    """

    def __init__(self, message: str, *, missing: tuple[str, ...], **facts: Unpack[Facts]) -> None:
        super().__init__(message, **facts)
        self.missing = missing


class AlreadyApplied(StorageError):
    """Another call with this ``unit_id`` took effect; what its function returned is unknown.

    ``attempt_key``: the key of the attempt that was applied; that of an earlier ``Unknown`` if it
    was that call's. None if a process of an earlier version applied it.
    """

    def __init__(
        self, message: str, *, attempt_key: UUID | None = None, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.attempt_key = attempt_key


class ReadFailed(StorageError):
    """A read got no answer before its deadline, or none that keeps its promise."""


class SnapshotLost(ReadFailed):
    """A stream was to be of one snapshot, and the member that had it cannot go on. Another member
    cannot take the snapshot over: it exists on one server only.

    ``rows``: how many were handed out; ``last_key``: that of the last of them.
    """

    remedy = (
        "Begin again, or go on without one snapshot behind the last key that you have (start_after)"
    )

    def __init__(
        self, message: str, *, rows: int, last_key: tuple[str, ...] | None, **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.rows = rows
        self.last_key = last_key


class KeyMissing(ReadFailed):
    """A stream has rows whose key is NULL: they have no place in its order."""

    remedy = "Leave them out in the query, or choose columns that are NOT NULL"


class StreamChanged(ReadFailed):
    """A stream cannot go on as it began: its columns are others by now, or the member that is to
    serve the rest sorts text in another order."""

    remedy = "Begin again; a key that is a number, a date or a uuid has the same order everywhere"


class TokenLost(ReadFailed):
    """The token's write is not in the cluster any more: a failover took it away."""
