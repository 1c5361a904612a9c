"""The storage layer: units of work that come through a failover with nothing lost, nothing twice.

Speaks SQL to any Patroni cluster; knows no processes and no sites' internals.
"""

from replication.access.credentials import Credentials
from replication.access.problems import ConfigError
from replication.access.tls import Tls
from replication.config.dsn import from_dsn
from replication.config.file import load_config
from replication.config.settings import Dcs, StorageConfig, StorageSettings
from replication.errors import (
    AlreadyApplied,
    CircuitOpen,
    CommitInDoubt,
    DeadlineExceeded,
    DiskFull,
    KeyMissing,
    NoPrimary,
    NotAdmitted,
    NotApplied,
    NotDurable,
    NotInstalled,
    NotOpen,
    NotRepeated,
    NotSynchronous,
    PoolExhausted,
    ReadFailed,
    ReadOnly,
    ServerFull,
    SnapshotLost,
    StartRefused,
    StatementTimeout,
    StorageError,
    StreamChanged,
    TokenLost,
    Unknown,
)
from replication.open import open_storage
from replication.patroni.discovery import DiscoveryError
from replication.patroni.members import Member
from replication.reads.reader import Read
from replication.reads.streams.options import StreamOptions
from replication.reads.streams.stream import ReadStream
from replication.storage import Storage
from replication.sync.storage import SyncStorage, SyncTransaction
from replication.sync.streams import SyncReadStream
from replication.units.decorator import SyncUnitOfWork, UnitOfWork
from replication.units.durability import Durability, Isolation
from replication.units.token import Token
from replication.units.unit import Applied, Outcome, Result, Transaction

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
    "KeyMissing",
    "Member",
    "NoPrimary",
    "NotAdmitted",
    "NotApplied",
    "NotDurable",
    "NotInstalled",
    "NotOpen",
    "NotRepeated",
    "NotSynchronous",
    "Outcome",
    "PoolExhausted",
    "Read",
    "ReadFailed",
    "ReadOnly",
    "ReadStream",
    "Result",
    "ServerFull",
    "SnapshotLost",
    "StartRefused",
    "StatementTimeout",
    "Storage",
    "StorageConfig",
    "StorageError",
    "StorageSettings",
    "StreamChanged",
    "StreamOptions",
    "SyncReadStream",
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
