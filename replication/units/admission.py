"""Lets units of work in, or refuses them at once, and tells the observers how each one ended.

When nothing works, a unit fails at once instead of adding to the load (``Circuit``). After a number
of units of work in a row that failed for lack of a primary, of sessions or of room on the server,
the circuit opens: units are refused without being tried. After a while one is let through; if it
succeeds, or as soon as a primary is seen, the circuit closes; in the latter case on probation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

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
from replication.observability.events import (
    CircuitClosed,
    CircuitOpened,
    Observers,
    UnitBegan,
    UnitEnded,
    UnitEnding,
)
from replication.units.unit import Applied, Unit

T = TypeVar("T")


class Circuit:
    """The state of one breaker; the caller has the clock.

    Args:
        after: failures in a row until it opens, at least 1.
        open_s: how long it stays open before it lets one unit through.
    """

    def __init__(self, *, after: int, open_s: float) -> None:
        self._after = after
        self._open_s = open_s
        self._failures = 0
        self._until_s: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Units are refused."""
        return self._until_s is not None

    def refused_for_s(self, now_s: float) -> float | None:
        """None: go on. Else the unit is refused, and the next one will be tried after that time."""
        if self._until_s is None:
            return None
        if now_s < self._until_s:
            return self._until_s - now_s
        if self._is_probing:
            return self._open_s
        self._is_probing = True
        return None

    def failed(self, now_s: float) -> bool:
        """A unit failed in a way that counts; True when this opened the circuit."""
        self._failures += 1
        was_open, self._is_probing = self.is_open, False
        if was_open or self._failures >= self._after:
            self._until_s = now_s + self._open_s
        return self.is_open and not was_open

    def abandoned(self) -> None:
        """A unit ended without saying anything about the cluster (its caller was cancelled)."""
        self._is_probing = False

    def hopeful(self) -> bool:
        """A member claims to be the primary; True when this closed the circuit.

        A claim is not a success: if the next unit fails, it opens again at once.
        """
        was_open = self.is_open
        if was_open:
            self._failures, self._until_s, self._is_probing = self._after - 1, None, False
        return was_open

    def closed(self) -> bool:
        """A unit succeeded; True when this closed the circuit."""
        was_open = self.is_open
        self._failures, self._until_s, self._is_probing = 0, None, False
        return was_open


LONG_COMMIT_S = 1.0
"""A COMMIT that has had no answer for this long waits for something that is wrong with the cluster;
a small one takes milliseconds."""


class Gate:
    """One circuit for all units of work of a storage.

    Args:
        after: troubled ends in a row until units are refused.
        open_s: for how long, unless a primary is found.
        observers: told of every unit.
        clock: monotonic seconds.
        is_searching: whether there is no primary, or the present one is doubted.
    """

    def __init__(
        self,
        *,
        after: int,
        open_s: float,
        observers: Observers,
        clock: Callable[[], float],
        is_searching: Callable[[], bool],
    ) -> None:
        self._circuit = Circuit(after=after, open_s=open_s)
        self._open_s = open_s
        self._observers = observers
        self._clock = clock
        self._is_searching = is_searching

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
        if self._is_trouble(unit, error):
            if self._circuit.failed(self._clock()):
                self._observers.tell(CircuitOpened(reason=str(error), for_s=self._open_s))
        elif isinstance(error, StorageError) and not isinstance(error, DeadlineExceeded | Unknown):
            self._close()  # a primary gave an answer
        else:
            self._circuit.abandoned()
        self._tell(unit, outcome_of(error), error, resolved=False)

    def _is_trouble(  # noqa: PLR0911 (one a kind of end)
        self, unit: Unit[T], error: BaseException
    ) -> bool:
        """Whether ``error`` is the cluster's doing, and not the application's.

        - ``NoPrimary``: no server took a connection.
        - ``ServerFull`` where a connection was refused. What a statement meets, or raises, under
          that SQLSTATE does not count.
        - ``DiskFull``, unless a function has chosen the SQLSTATE, or passed on another server's.
        - ``Unknown`` after a connection was lost or a standby was gone. Not after a deadline that
          passed just after COMMIT was sent (the function had used it up), nor where our role may
          not ask.
        - ``PoolExhausted`` and ``DeadlineExceeded`` while the primary is missing or in doubt. Else
          the functions are slow, or too many.
        """
        failure = unit.failure
        match error:
            case NoPrimary():
                return True
            case PoolExhausted():
                return self._is_searching()
            case DeadlineExceeded():
                return unit.attempts > 0 and self._is_searching()
            case ServerFull():
                return failure is None or failure.severity != "ERROR"
            case DiskFull():
                return failure is None or not failure.is_raised_by_program
            case Unknown():
                if failure is not None:
                    return not failure.is_of_access_rule
                sent_s = self._clock() if unit.doubt is None else unit.doubt.sent_s
                return self._clock() - sent_s >= LONG_COMMIT_S
            case _:
                return False

    def primary_lost(self, node: str, reason: str) -> None:
        """As ``watch.Listener``: that alone does not refuse units; a failover takes time."""

    def primary_found(self, node: str) -> None:
        """As ``watch.Listener``: units may succeed again."""
        if self._circuit.hopeful():
            self._observers.tell(CircuitClosed())

    def _close(self) -> None:
        if self._circuit.closed():
            self._observers.tell(CircuitClosed())

    def _tell(
        self, unit: Unit[T], outcome: UnitEnding, error: BaseException | None, *, resolved: bool
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


def outcome_of(error: BaseException) -> UnitEnding:
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
