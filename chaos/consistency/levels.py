"""The isolation levels, as data: what each forbids. Pure.

A level is three things: which anomalies inside one transaction or one list it forbids, which cycles
of dependencies, and whether the order of sessions or of the clock counts as a dependency.

Dependencies are Adya's: ``ww`` (appended after), ``wr`` (read what was appended), ``rw`` (did not
yet see what was appended).

Sources: Adya, "Weak Consistency" (1999), for the cycles of each level; Cerone and Gotsman,
"Analysing Snapshot Isolation" (2016), for the cycle that snapshot isolation forbids; Daudjee and
Salem (2006) for sessions; the names are Elle's (``elle.consistency-model``), as are the names of
the anomalies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Order = Literal["none", "session", "clock"]
"""What counts as an order beside the dependencies: nothing, the acknowledged transactions of one
session, or of all of them by the clock (one ended before the other began)."""

AntiDependencies = Literal["none", "one", "apart", "any"]
"""How many ``rw`` a forbidden cycle may have: none, exactly one, any number but never two in a row,
or any."""

_ANY_LEVEL = frozenset({"duplicate-elements", "phantom-read"})
_COMMITTED = _ANY_LEVEL | {"G1a", "G1b", "dirty-update", "incompatible-order", "future-read"}
_REPEATABLE = _COMMITTED | {"lost-update"}
_ATOMIC = _REPEATABLE | {"internal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What one isolation level forbids."""

    name: str
    reads_count: bool
    """``wr`` is a dependency of it, not only ``ww``."""
    rw: AntiDependencies
    order: Order
    forbids: frozenset[str]
    """The anomalies that need no cycle."""
    aliases: tuple[str, ...] = ()

    @property
    def is_snapshot(self) -> bool:
        """A transaction reads at one moment and commits at another."""
        return self.rw == "apart"


def _levels() -> tuple[Level, ...]:
    def level(
        name: str,
        forbids: frozenset[str],
        rw: AntiDependencies,
        order: Order = "none",
        *aliases: str,
        reads: bool = True,
    ) -> Level:
        return Level(
            name=name, reads_count=reads, rw=rw, order=order, forbids=forbids, aliases=aliases
        )

    ru, rc, si, ser = "read-uncommitted", "read-committed", "snapshot-isolation", "serializable"
    return (
        level(ru, _ANY_LEVEL, "none", "none", "pl-1", "ru", reads=False),
        level(rc, _COMMITTED, "none", "none", "pl-2", "rc"),
        level("repeatable-read", _REPEATABLE, "any", "none", "pl-2.99", "rr"),
        level("parallel-snapshot-isolation", _ATOMIC, "one", "none", "psi"),
        level(si, _ATOMIC, "apart", "none", "pl-si", "si"),
        level(ser, _ATOMIC, "any", "none", "pl-3", "conflict-serializable", "ser"),
        level(
            f"strong-session-{ru}",
            _ANY_LEVEL,
            "none",
            "session",
            "strong-session-pl-1",
            reads=False,
        ),
        level(f"strong-session-{rc}", _COMMITTED, "none", "session", "strong-session-pl-2"),
        level(
            "strong-session-parallel-snapshot-isolation", _ATOMIC, "one", "session", "session-psi"
        ),
        level(f"strong-session-{si}", _ATOMIC, "apart", "session", "session-si"),
        level(f"strong-session-{ser}", _ATOMIC, "any", "session", "session-ser"),
        level(f"strong-{ru}", _ANY_LEVEL, "none", "clock", "strong-pl-1", reads=False),
        level(f"strong-{rc}", _COMMITTED, "none", "clock", "strong-pl-2"),
        level(f"strong-{si}", _ATOMIC, "apart", "clock", "strong-si"),
        level(
            "strict-serializable",
            _ATOMIC,
            "any",
            "clock",
            "pl-ss",
            "strong-serializable",
            "strict-ser",
            "strict",
        ),
    )


LEVELS: Mapping[str, Level] = {level.name: level for level in _levels()}
"""Weakest first within each order."""

DEFAULT_LEVEL = "strict-serializable"
"""What Elle demands when nothing is said."""

_BY_ALIAS = {
    alias: level.name for level in LEVELS.values() for alias in (level.name, *level.aliases)
}


def level_named(name: str) -> str:
    """The name of a level from what people write: ``:PL-3``, ``Session SI``, ``strict_ser``.

    A name that is none is given back in its plain form.
    """
    plain = name.strip().lstrip(":").lower().replace("_", "-").replace(" ", "-")
    return _BY_ALIAS.get(plain, plain)
