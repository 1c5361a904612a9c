"""The storage layer: units of work that come through a failover with nothing lost, nothing twice.

Speaks SQL to any Patroni cluster; knows no processes and no sites' internals.
"""

from replication.credentials import Credentials
from replication.decorated import UnitOfWork
from replication.durability import Durability, Isolation
from replication.errors import (
    AlreadyApplied,
    CircuitOpen,
    DeadlineExceeded,
    DiskFull,
    NoPrimary,
    NotAdmitted,
    NotApplied,
    NotDurable,
    NotRepeated,
    NotSynchronous,
    PoolExhausted,
    ReadFailed,
    ServerFull,
    StatementTimeout,
    StorageError,
    TokenLost,
    Unknown,
)
from replication.members import Member
from replication.reader import Read
from replication.settings import StorageSettings
from replication.storage import Storage
from replication.tokens import Token
from replication.units import Applied, Outcome, Result, Transaction

__all__ = [
    "AlreadyApplied",
    "Applied",
    "CircuitOpen",
    "Credentials",
    "DeadlineExceeded",
    "DiskFull",
    "Durability",
    "Isolation",
    "Member",
    "NoPrimary",
    "NotAdmitted",
    "NotApplied",
    "NotDurable",
    "NotRepeated",
    "NotSynchronous",
    "Outcome",
    "PoolExhausted",
    "Read",
    "ReadFailed",
    "Result",
    "ServerFull",
    "StatementTimeout",
    "Storage",
    "StorageError",
    "StorageSettings",
    "Token",
    "TokenLost",
    "Transaction",
    "UnitOfWork",
    "Unknown",
]
