"""Lets units of work in, or refuses them at once, and tells the observers how each one ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from replication.circuit import Circuit
from replication.errors import (
    AlreadyApplied,
    CircuitOpen,
    DeadlineExceeded,
    DiskFull,
    Facts,
    NoPrimary,
    NotApplied,
    NotDurable,
    PoolExhausted,
    ServerFull,
    StorageError,
    Unknown,
)
from replication.observe import (
    CircuitClosed,
    CircuitOpened,
    Observers,
    Outcome,
    UnitBegan,
    UnitEnded,
)
from replication.units import Applied, Unit

T = TypeVar("T")

TROUBLE = (NoPrimary, PoolExhausted, ServerFull, DiskFull, Unknown)
"""Ends that say something about the cluster; enough of them in a row open the circuit."""


class Gate:
    """One circuit for all units of work of a storage.

    Args:
        after: troubled ends in a row until units are refused.
        open_s: for how long, unless a primary is found.
        observers: told of every unit.
        clock: monotonic seconds.
    """

    def __init__(
        self, *, after: int, open_s: float, observers: Observers, clock: Callable[[], float]
    ) -> None:
        self._circuit = Circuit(after=after, open_s=open_s)
        self._open_s = open_s
        self._observers = observers
        self._clock = clock

    def admit(self, unit: Unit[T]) -> None:
        """Let ``unit`` in.

        Raises:
            CircuitOpen: not now.
        """
        retry_after_s = self._circuit.refused_for_s(unit.started_s)
        if retry_after_s is not None:
            raise CircuitOpen(
                f"{unit.id} was not applied: too many units of work failed one after the other;"
                f" the next one will be tried in {retry_after_s:.1f} s",
                retry_after_s=retry_after_s,
                **Facts(unit_id=unit.id, node=None, sqlstate=None, elapsed_s=0.0, attempts=0),
            )
        if self._observers.are_watching:
            self._observers.tell(UnitBegan(unit_id=unit.id, durability=unit.plan.durability))

    def succeeded(self, unit: Unit[T], applied: Applied[T]) -> None:
        """``unit`` took effect."""
        self._close()
        if self._observers.are_watching:
            self._tell(unit, "applied", None, resolved=applied.resolved)

    def failed(self, unit: Unit[T], error: BaseException) -> None:
        """``unit`` ended in an error: what does that say about the cluster?"""
        if isinstance(error, TROUBLE):
            if self._circuit.failed(self._clock()):
                self._observers.tell(CircuitOpened(reason=str(error), for_s=self._open_s))
        elif isinstance(error, StorageError) and type(error) is not DeadlineExceeded:
            self._close()  # a primary gave an answer
        else:
            self._circuit.abandoned()
        self._tell(unit, outcome_of(error), error, resolved=False)

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``: that alone is no reason to refuse; a failover takes its time."""

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``: there is hope again."""
        if self._circuit.hopeful():
            self._observers.tell(CircuitClosed())

    def _close(self) -> None:
        if self._circuit.closed():
            self._observers.tell(CircuitClosed())

    def _tell(
        self, unit: Unit[T], outcome: Outcome, error: BaseException | None, *, resolved: bool
    ) -> None:
        self._observers.tell(
            UnitEnded(
                unit_id=unit.id,
                outcome=outcome,
                error=None if error is None else type(error).__name__,
                sqlstate=error.sqlstate if isinstance(error, StorageError) else None,
                node=unit.node,
                attempts=unit.attempts,
                elapsed_s=self._clock() - unit.started_s,
                resolved=resolved,
            )
        )


def outcome_of(error: BaseException) -> Outcome:
    """How a unit ended that ended in ``error``."""
    match error:
        case NotApplied():
            return "not-applied"
        case Unknown():
            return "unknown"
        case AlreadyApplied():
            return "already-applied"
        case NotDurable():
            return "applied"
        case _:
            return "error"
