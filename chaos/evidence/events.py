"""``events.jsonl``: what happened in a drill, one line an event; written and read here only.

An event is a dataclass, and ``KINDS`` has its name in the file. A line has the keys ``seq``,
``t_s`` and ``kind``, then the fields of the event under their own names, in their order.

A field without a default is what checkers rely on: a line on which it has another type, or is
missing where None is no answer, makes no sense and goes to the damage of the run. A field with a
default is only shown: it may be missing, as in run folders of older formats.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args, get_type_hints

from chaos.evidence.fields import Fields, missing_lines, read_lines
from chaos.evidence.records import Scalar
from replication.wire.wal import parse_lsn

EVENTS = "events.jsonl"


class Phase(enum.StrEnum):
    """The phases of a drill, in their order; each lasts until the next one."""

    BOOT = "boot"
    PREFLIGHT = "preflight"
    STEADY = "steady"
    FAULT = "fault"
    RECOVERY = "recovery"
    QUIESCE = "quiesce"
    FINAL_READ = "final-read"
    DONE = "done"


LOADED_PHASES = frozenset({Phase.STEADY, Phase.FAULT, Phase.RECOVERY})
"""In which load is offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened at ``t_s``."""

    t_s: float
    others: Mapping[str, Scalar] = field(default_factory=dict)
    """Keys of its line that this version does not know."""

    def said(self) -> dict[str, Scalar]:
        """The fields of its line besides the moment and the kind, in the order of the line."""
        own = {name: getattr(self, name) for name in _READERS[type(self)]}
        return {**own, **self.others}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBegan(RunEvent):
    """A phase of the drill began."""

    phase: str
    """A ``Phase``, or what another version calls one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootStepDone(RunEvent):
    """A part of the cluster was there: ``network``, ``dcs``, ``primary``, ``replicas``,
    ``protected``."""

    step: str | None = None
    elapsed_s: int | float | None = None
    """Since the boot began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultStruck(RunEvent):
    """A fault struck a host."""

    fault: str
    target: str | None = None
    node: str | None = None
    detail: str | None = None
    took_s: int | float | None = None
    """From its begin until it had taken effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultHealed(RunEvent):
    """The fault of the same name and target was undone."""

    fault: str | None = None
    target: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSeen(RunEvent):
    """A node was seen in another role than before."""

    node: str
    role: str
    """``primary``, ``replica``, ``starting`` or ``unreachable``."""
    timeline: int | None = None
    sync: str | None = None
    """``quorum``, ``sync`` or ``async``."""

    @property
    def is_primary(self) -> bool:
        """It was seen as the primary."""
        return self.role == "primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSeen(RunEvent):
    """The leader key changed."""

    holder: str | None
    """A node; None: the key is gone."""
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncKeySeen(RunEvent):
    """The key of those that may be promoted in synchronous mode changed."""

    leader: str | None = None
    members: str | None = None
    """Comma separated."""
    quorum: int | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessStarted(RunEvent):
    """A witness watches."""

    host: str | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessVoted(RunEvent):
    """A witness voted that a lease should end; renewals are not told."""

    witness: str | None = None
    leader: str | None = None
    reason: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessActed(RunEvent):
    """The witnesses ended a lease."""

    witness: str | None = None
    """Whose transaction it was."""
    leader: str | None = None
    voted_by: str | None = None
    """Comma separated."""
    case: str | None = None
    """``host-silent``, ``host-hangs`` or ``postmaster-gone``."""
    reason: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEnded(RunEvent):
    """An ancestor of the surviving timeline ended, and the next one begins there."""

    timeline: int
    end_lsn: str
    reason: str | None = None

    def __post_init__(self) -> None:
        parse_lsn(self.end_lsn)

    @property
    def lsn(self) -> int:
        """Where it ended, in bytes."""
        return parse_lsn(self.end_lsn)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettled(RunEvent):
    """The cluster was whole again."""

    timeline: int | None
    """The primary's; None: it did not say."""
    behind_bytes: int | None = None
    """What the replica furthest behind had still to replay; None: it did not say."""
    behind_bytes_max: int | None = None
    """How much that may be in a whole cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNotWhole(RunEvent):
    """The time of the cluster to become whole again was over."""

    missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnded(RunEvent):
    """A process of a host ended."""

    host: str | None = None
    process: str | None = None
    status: int | None = None
    """Its exit code, or minus the signal."""
    expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFound(RunEvent):
    """The settings that were in force just before the steady state."""

    ttl_s: int | float | None = None
    loop_wait_s: int | float | None = None
    retry_timeout_s: int | float | None = None
    synchronous_mode: str | None = None
    synchronous_standby_names: str | None = None

    @property
    def in_force(self) -> Mapping[str, Scalar]:
        """By name, those that were found."""
        return {name: value for name, value in self.said().items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMeasured(RunEvent):
    """A link between two sites was measured during the steady state, under load."""

    link: str | None = None
    """Its two sites: ``paris-orsay``."""
    carrier: str | None = None
    """What carried it: ``relay``."""
    asked: str | None = None
    """What the topology says of it, in words."""
    asked_ms: int | float | None = None
    """The round trip that the topology says."""
    median_ms: int | float | None = None
    """The median round trip; None: no packet came back."""
    p95_ms: int | float | None = None
    sent: int | None = None
    lost: int | None = None
    """How many of the packets sent did not come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(RunEvent):
    """The drill was still running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(RunEvent):
    """The drill did not come to its end."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(RunEvent):
    """An event of a kind that this version does not know. Only its moment counts."""

    kind: str

    def said(self) -> dict[str, Scalar]:
        """All of it is unknown."""
        return dict(self.others)


KINDS: Mapping[str, type[RunEvent]] = {
    "phase": PhaseBegan,
    "boot": BootStepDone,
    "fault": FaultStruck,
    "heal": FaultHealed,
    "role": RoleSeen,
    "leader-key": LeaderSeen,
    "sync-key": SyncKeySeen,
    "witness": WitnessStarted,
    "vote": WitnessVoted,
    "act": WitnessActed,
    "timeline": TimelineEnded,
    "settled": ClusterSettled,
    "not-whole": ClusterNotWhole,
    "child-exit": ProcessEnded,
    "settings": SettingsFound,
    "link": LinkMeasured,
    "tick": Tick,
    "interrupted": Interrupted,
}
"""By their names in the file (docs/reference/run-folder.md)."""

_NAMES = {event: kind for kind, event in KINDS.items()}


def encode_event(event: RunEvent, seq: int) -> dict[str, Scalar]:
    """The object of an event's line.

    Args:
        event: Of one of ``KINDS``.
        seq: The number of the line, from 0 on.
    """
    t_s = round(event.t_s, 6)
    return {"seq": seq, "t_s": t_s, "kind": _NAMES[type(event)], **event.said()}


def decode_event(line: Mapping[str, object]) -> RunEvent:
    """The inverse of ``encode_event``.

    Raises:
        ValueError: the line makes no sense; names the field.
    """
    found = Fields(line)
    kind = found.text("kind")
    event = KINDS.get(kind)
    own = {} if event is None else {name: read(line) for name, read in _READERS[event].items()}
    others: dict[str, Scalar] = {}
    for name, value in line.items():
        if value is not None and not isinstance(value, str | int | float | bool):
            raise ValueError(f"{name} is neither text nor number")
        if name not in own and name not in {"seq", "t_s", "kind"}:
            others[name] = value
    t_s = found.number("t_s")
    if event is None:
        return OtherEvent(t_s=t_s, kind=kind, others=others)
    return event(t_s=t_s, others=others, **own)


def read_events(path: Path, damage: list[str]) -> tuple[RunEvent, ...]:
    """The events in the order of time; lines that make no sense go to ``damage``.

    Sorted, because events come from several observers: each line carries its own moment. Lines of
    the same moment keep their order.
    """
    events = []
    numbers: list[int | None] = []
    for number, line in read_lines(path, damage):
        try:
            numbers.append(Fields(line).integer_or_none("seq"))
            events.append(decode_event(line))
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    damage += [f"{path.name}: {what}" for what in missing_lines(numbers, "event")]
    return tuple(sorted(events, key=lambda event: event.t_s))


class EventLog:
    """Appends events to ``events.jsonl``, flushed line by line: a kill loses at most the last one.

    Each line has a number (``seq``, from 0 on), so that one that was lost later is missed.
    Use it as a context manager, or call ``close``.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the log in ``folder``, which must exist."""
        path = folder / EVENTS
        self._seq = len(path.read_bytes().splitlines()) if path.exists() else 0
        self._file = path.open("a", encoding="utf-8")

    def append(self, event: RunEvent) -> None:
        """Writes one event."""
        line = encode_event(event, self._seq)
        self._seq += 1
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file; a second call does nothing.

        What a full disk did not take was told by ``append``: that it takes it no more is not
        told again.
        """
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_TYPES: Mapping[object, Callable[[Fields, str], Scalar]] = {
    str: Fields.text,
    str | None: Fields.text_or_none,
    int: Fields.integer,
    int | None: Fields.integer_or_none,
    bool: Fields.boolean,
}


def _relied_on(name: str, hint: object, line: Mapping[str, object]) -> Scalar:
    """A value of that type, or ``ValueError``."""
    return _TYPES[hint](Fields(line), name)


def _shown(name: str, hint: object, line: Mapping[str, object]) -> Scalar:
    """A value of that type; another one as a text, or None where no text is expected."""
    value = line.get(name)
    expected: tuple[type, ...] = get_args(hint)
    if not isinstance(value, str | int | float):
        return None
    if isinstance(value, expected) and not isinstance(value, bool):
        return value
    return str(value) if str in expected else None


def _readers(event: type[RunEvent]) -> Mapping[str, Callable[[Mapping[str, object]], Any]]:
    """How each of an event's own fields is read from its line, in the order of the line."""
    hints = get_type_hints(event)
    return {
        one.name: partial(
            _relied_on if one.default is MISSING else _shown, one.name, hints[one.name]
        )
        for one in fields(event)
        if one.name not in {"t_s", "others"}
    }


_READERS = {event: _readers(event) for event in KINDS.values()}
