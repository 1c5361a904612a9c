"""The events of the storage layer, and how they reach an observer.

Logging, metrics and traces are observers; an application can add its own. An observer is called in
the event loop, between two awaits, with one event; it must not block. What it raises is logged and
not passed on: an error in a metric never costs a write.

No event carries SQL, parameters or secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

_log = logging.getLogger("replication")

UnitEnding = Literal["applied", "not-applied", "unknown", "already-applied", "error"]
"""How a unit of work ended; ``error`` is an exception of its own function."""

Change = Literal["added", "moved", "dropped"]
"""What became of a member while the storage was open."""


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
    """It ended without an acknowledged commit; ``action`` is the name of a ``failures.Action``."""

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
    outcome: UnitEnding
    error: str | None
    sqlstate: str | None
    node: str | None
    attempts: int
    elapsed_s: float
    resolved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEnded:
    """A read ended, served by ``node`` (None: by no member). ``source``: what kind of member it
    is."""

    node: str | None
    source: Literal["primary", "replica"] | None
    error: str | None
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryLost:
    """A member is no longer used as the primary; all sessions to it are dropped."""

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
class MemberChanged:
    """A member was ``added``, ``moved`` to another address, or ``dropped``, while the storage is
    open. ``host`` and ``port``: where its PostgreSQL is, or was."""

    node: str
    change: Change
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """A connection was made and accepted."""

    node: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolWaited:
    """A caller that had to wait for a free session got one."""

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
    | MemberChanged
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
        """Whether there are observers besides the log, so that events of every unit of work are
        worth sending."""
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
    """The observer that is always there: logs what an operator needs to read."""
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
        case MemberChanged():
            words = {"added": "is a member now", "moved": "has moved", "dropped": "has left"}
            _log.warning("%s %s (%s:%d)", event.node, words[event.change], event.host, event.port)
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


SAID_MAX = 20
"""Ways to fail that are told of one subject: an error's text may hold a port or a pid."""


class Complaints:
    """Logs what is wrong once, and once that it is over: not every second.

    A subject may fail in two ways by turns (no answer, no route): each is logged once.

    Args:
        log: where it is logged.
        over: the message for a subject that is well again.
    """

    def __init__(self, log: logging.Logger, *, over: str) -> None:
        self._log = log
        self._over = over
        self._said: dict[str, set[str]] = {}

    def about(self, subject: str, words: str) -> None:
        """Something is wrong with ``subject``."""
        said = self._said.setdefault(subject, set())
        if words not in said and len(said) < SAID_MAX:
            said.add(words)
            self._log.warning("%s: %s", subject, words)

    def over(self, subject: str) -> None:
        """Nothing is wrong with ``subject`` any more."""
        if self._said.pop(subject, None) is not None:
            self._log.info("%s: %s", subject, self._over)
