"""``events.jsonl`` to events. What a checker relies on is made sure of here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.evidence.fields import Fields
from chaos.evidence.lines import read_lines
from chaos.evidence.records import Event, Scalar, parse_lsn


def read_events(path: Path, damage: list[str]) -> tuple[Event, ...]:
    """The events in the order of time; lines that make no sense go to ``damage``.

    Sorted, because events come from several observers: each line carries its own moment. Lines of
    the same moment keep their order.
    """
    events = []
    for number, line in read_lines(path, damage):
        try:
            events.append(_event(line))
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    return tuple(sorted(events, key=lambda event: event.t_s))


def _event(line: Mapping[str, object]) -> Event:
    fields = Fields(line)
    kind = fields.text("kind")
    _REQUIRED.get(kind, _nothing)(fields)
    scalars: dict[str, Scalar] = {}
    for name, value in line.items():
        if name in {"t_s", "kind"}:
            continue
        if value is not None and not isinstance(value, str | int | float | bool):
            raise ValueError(f"{name} is neither text nor number")
        scalars[name] = value
    return Event(t_s=fields.number("t_s"), kind=kind, fields=scalars)


def _nothing(fields: Fields) -> None:
    """Events of other kinds are shown, not judged."""


def _phase(fields: Fields) -> None:
    fields.text("phase")


def _fault(fields: Fields) -> None:
    fields.text("fault")


def _role(fields: Fields) -> None:
    fields.text("node")
    fields.text("role")


def _leader_key(fields: Fields) -> None:
    fields.text_or_none("holder")


def _timeline(fields: Fields) -> None:
    fields.integer("timeline")
    parse_lsn(fields.text("end_lsn"))


def _settled(fields: Fields) -> None:
    fields.integer_or_none("timeline")


def _child_exit(fields: Fields) -> None:
    fields.boolean("expected")


_REQUIRED: Mapping[str, Callable[[Fields], None]] = {
    "phase": _phase,
    "fault": _fault,
    "role": _role,
    "leader-key": _leader_key,
    "timeline": _timeline,
    "settled": _settled,
    "child-exit": _child_exit,
}
"""What an event of a kind must have for the checkers to understand it."""
