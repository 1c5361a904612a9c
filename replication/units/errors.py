"""The error that a unit of work ends with: what its ``runner`` tells the caller. Pure."""

from __future__ import annotations

from typing import TypeVar

from replication.errors import (
    DeadlineExceeded,
    DiskFull,
    Facts,
    NoPrimary,
    NotApplied,
    NotDurable,
    NotSynchronous,
    PoolExhausted,
    ReadOnly,
    ServerFull,
    StatementTimeout,
    StorageError,
    Unknown,
)
from replication.failures import Failure
from replication.primary.read_only import TakesNoWrites
from replication.units.unit import Unit

T = TypeVar("T")

SERVER_FULL = ("53200", "53300")
DISK_FULL = "53100"
QUERY_CANCELED = "57014"


def facts_of(unit: Unit[T], now_s: float) -> Facts:
    """What every error says of ``unit``; ``now_s`` on the clock of its ``started_s``."""
    return Facts(
        unit_id=unit.id,
        node=unit.node,
        sqlstate=None if unit.failure is None else unit.failure.sqlstate,
        elapsed_s=now_s - unit.started_s,
        attempts=unit.attempts,
    )


def given_up(unit: Unit[T], failure: Failure, facts: Facts) -> NotApplied:
    """``failure`` would come again."""
    kinds = {DISK_FULL: DiskFull, QUERY_CANCELED: StatementTimeout}
    kind = kinds.get(failure.sqlstate or "", NotApplied)
    return kind(f"{unit.id} was not applied: {failure.message}", **facts)


def not_synchronous(unit: Unit[T], facts: Facts) -> NotSynchronous:
    """Its durability asks for a standby, and the primary waits for none."""
    words = f"{unit.id} was not applied: synchronous_standby_names is empty on {unit.node}"
    return NotSynchronous(words, **facts)


def takes_no_writes(unit: Unit[T], facts: Facts) -> ReadOnly:
    """The primary is read-only by default."""
    words = TakesNoWrites(unit.node or "the server")
    return ReadOnly(f"{unit.id} was not applied: {words}", **facts)


def missed(  # noqa: PLR0911 (one a kind of end)
    unit: Unit[T],
    facts: Facts,
    *,
    deadline_s: float,
    was_synchronous: bool,
    in_use: int | None,
) -> StorageError:
    """The deadline has passed.

    Args:
        unit: as it was then.
        facts: of it.
        deadline_s: what its caller gave.
        was_synchronous: the primary had synchronous standbys once.
        in_use: how many sessions to the primary are in use, where that is all of them.
    """
    failure = unit.failure
    last = f" ({failure.message})" if failure is not None else ""
    within = f"within {deadline_s:g} s"
    if unit.is_acknowledged:
        sites = ", ".join(unit.missing) or "the other sites"
        words = f"{unit.id} was applied and a quorum has it, but {sites} did not confirm it"
        return NotDurable(f"{words} {within}", missing=unit.missing, **facts)
    if unit.must_ask:
        return Unknown(
            f"nobody knows whether {unit.id} was applied: its commit was in doubt and could"
            f" not be resolved {within}{last}",
            attempt_key=unit.attempt_key,
            **facts,
        )
    words = f"{unit.id} was not applied"
    if failure is not None and failure.sqlstate in SERVER_FULL:
        return ServerFull(f"{words} {within}: {failure.message}", **facts)
    if unit.was_read_only and failure is not None and failure.is_read_only:
        return takes_no_writes(unit, facts)
    if failure is not None and failure.kind == "client" and was_synchronous:
        return not_synchronous(unit, facts)
    if unit.attempts == 0 and in_use is not None:
        return PoolExhausted(f"{words}: every session ({in_use}) was in use {within}", **facts)
    if unit.attempts == 0:
        return NoPrimary(f"{words}: no primary took a connection {within}{last}", **facts)
    return DeadlineExceeded(f"{words} {within}{last}", **facts)
