"""What is known while a drill runs, for the displays. Values only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

NOTES_KEPT = 200


@dataclass(slots=True, kw_only=True)
class SiteBoard:
    """One site's load."""

    ok: int = 0
    fail: int = 0
    info: int = 0
    already: int = 0
    """Told that another site's caller had applied the unit of work that both sent."""
    rate_per_s: float = 0.0
    """Acknowledged in the last second."""
    last_ok_s: float | None = None
    node: str | None = None
    """Who acknowledged last."""
    last_attempt_s: float = 0.0
    """When the newest of the acknowledged attempts began."""


@dataclass(slots=True, kw_only=True)
class NodeBoard:
    """One PostgreSQL member, as it says itself."""

    role: str = "unknown"
    timeline: int | None = None
    sync: str | None = None


@dataclass(slots=True, kw_only=True)
class FaultBoard:
    """A fault that struck a host."""

    fault: str
    host: str
    struck_s: float
    lasts: bool
    """It stays until it is healed; else it was over in a moment."""
    healed_s: float | None = None
    broken: str = ""
    """What is broken while it lasts, in words."""

    @property
    def is_there(self) -> bool:
        """Still broken."""
        return self.lasts and self.healed_s is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that happened, in words."""

    t_s: float
    text: str
    loud: bool = False
    """A fault, a failover, a death: what one looks for first."""


@dataclass(slots=True, kw_only=True)
class Board:
    """The whole picture. The director and its observers write it, a display reads it."""

    scenario: str
    title: str
    started_s: float
    phase: str = "start"
    phase_since_s: float = 0.0
    leader: str | None = None
    """The holder of the leader key."""
    sites: dict[str, SiteBoard] = field(default_factory=dict)
    nodes: dict[str, NodeBoard] = field(default_factory=dict)
    faults: list[FaultBoard] = field(default_factory=list)
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=NOTES_KEPT))
    noted: int = 0
    """How many notes there were in all."""

    def note(self, t_s: float, text: str, *, loud: bool = False) -> None:
        """Add a note."""
        self.notes.append(Note(t_s=t_s, text=text, loud=loud))
        self.noted += 1
