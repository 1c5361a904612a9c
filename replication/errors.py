"""Everything that ``replication`` raises. One root; what is known is in fields, not only in words.

The class answers the question that matters to the caller: did it take effect?

- ``NotApplied``: certainly not; it may be given again.
- ``Unknown``: nobody could be asked before the deadline. Calling ``Storage.run`` again with the
  same ``unit_id`` asks first, and applies the unit only if it was not applied.
- ``AlreadyApplied``: yes, by an earlier call with the same ``unit_id``.
"""

from __future__ import annotations

from typing import TypedDict, Unpack


class Facts(TypedDict):
    """What every error carries, by name."""

    unit_id: str
    node: str | None
    sqlstate: str | None
    elapsed_s: float
    attempts: int


class StorageError(Exception):
    """The root of the package's errors.

    Args:
        message: one sentence for people.
        unit_id: the unit of work.
        node: the member that was last spoken to, if any.
        sqlstate: the last SQLSTATE (PostgreSQL manual, appendix A), if a server gave one.
        elapsed_s: seconds since ``run`` was called.
        attempts: transactions that were begun (0 when no connection was ever had).
    """

    def __init__(self, message: str, **facts: Unpack[Facts]) -> None:
        super().__init__(message)
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


class Unknown(StorageError):
    """The commit was in doubt and its id row could not be asked before the deadline."""


class AlreadyApplied(StorageError):
    """An earlier call with this ``unit_id`` took effect; what its function returned is unknown."""
