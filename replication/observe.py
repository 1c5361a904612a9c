"""What the storage layer tells those who watch it: events, and how they reach an observer.

Logging, metrics and traces are observers; an application can add its own. An observer is called in
the event loop, between two awaits, with one event; it must not block. What it raises is logged and
goes no further: nobody loses a write because a metric has a fault.

No event carries SQL, parameters or secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

_log = logging.getLogger("replication")

Outcome = Literal["applied", "not-applied", "unknown", "already-applied", "error"]
"""How a unit of work ended; ``error`` is an exception of its own function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitBegan:
    """``Storage.run`` was called."""

    unit_id: str
    durability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBegan:
    """A transaction of a unit of work begins; ``number`` counts them from 1."""

    unit_id: str
    node: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """It ended in no acknowledged commit; ``action`` is the name of an ``outcomes.Action``."""

    unit_id: str
    node: str
    number: int
    sqlstate: str | None
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtResolved:
    """The id row said what became of a commit in doubt, ``elapsed_s`` after the unit began."""

    unit_id: str
    node: str
    state: Literal["applied", "void"]
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitEnded:
    """``Storage.run`` ends. ``error`` is the name of the exception's class, if there is one."""

    unit_id: str
    outcome: Outcome
    error: str | None
    sqlstate: str | None
    node: str | None
    attempts: int
    elapsed_s: float
    resolved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEnded:
    """A read ended, served by ``node`` (None: by nobody). ``source``: what kind of member it is."""

    node: str | None
    source: Literal["primary", "replica"] | None
    error: str | None
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryLost:
    """A member is not handed out as the primary any more; all sessions to it are dropped."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryFound:
    """A session to a primary was accepted, ``search_s`` after the last one was lost.

    ``previous``: the primary before, None for the first one. A failover or switchover was seen when
    it is another node, or when the timeline is higher.
    """

    node: str
    timeline: int
    previous: str | None
    search_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """A connection was made and accepted."""

    node: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolWaited:
    """Somebody who had to wait for a session to be free got one."""

    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitOpened:
    """Units of work are refused at once for ``for_s`` seconds, or until a primary is seen."""

    reason: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitClosed:
    """Units of work are taken again."""


Event = (
    UnitBegan
    | AttemptBegan
    | AttemptFailed
    | DoubtResolved
    | UnitEnded
    | ReadEnded
    | PrimaryLost
    | PrimaryFound
    | SessionOpened
    | PoolWaited
    | CircuitOpened
    | CircuitClosed
)

Observer = Callable[[Event], None]


class Observers:
    """Passes each event on to every observer, the log first, then in the order of being added."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers: list[Observer] = [log_event, *observers]

    @property
    def are_watching(self) -> bool:
        """Somebody beside the log listens: what happens in every unit of work is worth telling."""
        return len(self._observers) > 1

    def add(self, observer: Observer) -> None:
        """From the next event on."""
        self._observers.append(observer)

    def tell(self, event: Event) -> None:
        """Never raises."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                _log.exception("an observer failed on %s", type(event).__name__)


def log_event(event: Event) -> None:
    """The observer that is always there: what an operator wants to read, through ``logging``."""
    match event:
        case PrimaryLost():
            _log.warning("%s is not used as the primary any more: %s", event.node, event.reason)
        case PrimaryFound(previous=None):
            _log.info("%s is the primary, on timeline %d", event.node, event.timeline)
        case PrimaryFound():
            _log.warning(
                "%s is the primary, on timeline %d, %.3f s after %s was lost",
                *(event.node, event.timeline, event.search_s, event.previous),
            )
        case DoubtResolved():
            _log.info(
                "the commit of %s was in doubt and is %s (asked on %s)",
                *(event.unit_id, event.state, event.node),
            )
        case UnitEnded(outcome="unknown"):
            _log.error("nobody knows whether %s was applied (%s)", event.unit_id, event.error)
        case CircuitOpened():
            _log.error("no units of work are taken for %.1f s: %s", event.for_s, event.reason)
        case CircuitClosed():
            _log.info("units of work are taken again")
        case AttemptFailed():
            _log.debug(
                "attempt %d of %s failed on %s (%s): %s",
                *(event.number, event.unit_id, event.node, event.sqlstate, event.action),
            )
        case _:
            pass
