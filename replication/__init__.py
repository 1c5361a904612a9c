"""The storage layer: units of work that come through a failover with nothing lost, nothing twice.

Speaks SQL to any Patroni cluster; knows no processes and no sites.
"""

from replication.credentials import Credentials
from replication.errors import (
    AlreadyApplied,
    DeadlineExceeded,
    NoPrimary,
    NotApplied,
    StorageError,
    Unknown,
)
from replication.members import Member
from replication.storage import Storage
from replication.units import Applied, Result, Transaction

__all__ = [
    "AlreadyApplied",
    "Applied",
    "Credentials",
    "DeadlineExceeded",
    "Member",
    "NoPrimary",
    "NotApplied",
    "Result",
    "Storage",
    "StorageError",
    "Transaction",
    "Unknown",
]
