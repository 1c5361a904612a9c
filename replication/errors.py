"""Everything that ``replication`` raises. One root; what is known is in fields, not only in words.

The class answers the question that matters to the caller: did it take effect?

- ``NotApplied``: certainly not; it may be given again. Its kinds say why, and what would help.
- ``Unknown``: nobody could be asked before the deadline. ``Storage.outcome`` asks later; calling
  ``Storage.run`` again with the same ``unit_id`` asks first, and applies the unit only if it was
  not applied.
- ``NotDurable``: yes, but not yet as safely as was asked for.
- ``AlreadyApplied``: yes, by an earlier call with the same ``unit_id``.
- ``ReadFailed``: it was only a read.
- ``NotOpen``: nothing was asked of anybody.
"""

from __future__ import annotations

from typing import ClassVar, TypedDict, Unpack


class Facts(TypedDict):
    """What every error carries, by name."""

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
        attempts: transactions that were begun (0 when no connection was ever had).
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
    """The server does not let us in: user, password, database or method (SQLSTATE 28..., 3D000)."""

    remedy = "Check user, password and database, and the server's pg_hba.conf"


class ServerFull(NotApplied):
    """The server takes no more connections, or is out of memory (SQLSTATE 53200, 53300)."""

    remedy = "Lower sessions_max over all clients, or raise the server's max_connections"


class DiskFull(NotApplied):
    """The server's disk is full (SQLSTATE 53100)."""

    remedy = "Free space on the primary: look at slots that hold back WAL first"


class StatementTimeout(NotApplied):
    """A statement was cancelled, by its timeout or by somebody (SQLSTATE 57014)."""

    remedy = "Make the statement quicker, or give it more with statement_timeout_s"


class NotRepeated(NotApplied):
    """It failed in a way that another try may mend, but its function may not be run twice."""

    remedy = "Whether what it did outside of the transaction can be repeated is for you to say"


class NotSynchronous(NotApplied):
    """The durability asked for cannot be had: the primary replicates to nobody synchronously."""

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
    """The commit was in doubt and its id row could not be asked before the deadline."""

    remedy = "Ask later with storage.outcome(unit_id), or run it again with the same unit_id"


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
    """An earlier call with this ``unit_id`` took effect; what its function returned is unknown."""


class ReadFailed(StorageError):
    """A read got no answer before its deadline, or none that keeps its promise."""


class TokenLost(ReadFailed):
    """What the token stands for is not in the cluster any more: a failover took it away."""
