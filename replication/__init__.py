"""The storage layer: units of work that come through a failover with nothing lost, nothing twice.

Speaks SQL to any Patroni cluster; knows no processes and no sites' internals.
"""

from replication.config_file import load_config
from replication.credentials import Credentials
from replication.decorated import UnitOfWork
from replication.discovery import DiscoveryError
from replication.dsn import from_dsn
from replication.durability import Durability, Isolation
from replication.errors import (
    AlreadyApplied,
    CircuitOpen,
    CommitInDoubt,
    DeadlineExceeded,
    DiskFull,
    NoPrimary,
    NotAdmitted,
    NotApplied,
    NotDurable,
    NotOpen,
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
from replication.opening import open_storage
from replication.problems import ConfigError
from replication.reader import Read
from replication.settings import Dcs, StorageConfig, StorageSettings
from replication.storage import Storage
from replication.sync import SyncStorage, SyncTransaction
from replication.sync_decorated import SyncUnitOfWork
from replication.tls import Tls
from replication.tokens import Token
from replication.units import Applied, Outcome, Result, Transaction

__all__ = [
    "AlreadyApplied",
    "Applied",
    "CircuitOpen",
    "CommitInDoubt",
    "ConfigError",
    "Credentials",
    "Dcs",
    "DeadlineExceeded",
    "DiscoveryError",
    "DiskFull",
    "Durability",
    "Isolation",
    "Member",
    "NoPrimary",
    "NotAdmitted",
    "NotApplied",
    "NotDurable",
    "NotOpen",
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
    "StorageConfig",
    "StorageError",
    "StorageSettings",
    "SyncStorage",
    "SyncTransaction",
    "SyncUnitOfWork",
    "Tls",
    "Token",
    "TokenLost",
    "Transaction",
    "UnitOfWork",
    "Unknown",
    "from_dsn",
    "load_config",
    "open_storage",
]
