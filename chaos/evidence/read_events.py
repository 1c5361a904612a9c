"""``events.jsonl`` to events. What a checker relies on is made sure of here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    numbers: list[int | None] = []
    for number, line in read_lines(path, damage):
        try:
            numbers.append(Fields(line).integer_or_none("seq"))
            events.append(_event(line))
        except ValueError as error:
            damage.append(f"{path.name}: line {number}: {error}")
    damage += [f"{path.name}: {what}" for what in _missing(numbers)]
    return tuple(sorted(events, key=lambda event: event.t_s))


def _missing(numbers: Sequence[int | None]) -> Iterator[str]:
    """What the numbers of the lines say of lines that are not there.

    Run folders of format 1 have no numbers: there nothing can be said. A line that cannot be read
    is damage already, and is counted a second time here: its number is missing.
    """
    if all(number is None for number in numbers):
        return
    expected = 0
    for number in numbers:
        if number is None:
            yield "an event has no number (seq)"
        elif number < expected:
            yield f"event {number} stands twice, or in the wrong place"
        else:
            if number > expected:
                yield f"{_events(expected, number - 1)} missing"
            expected = number + 1


def _events(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"


def _event(line: Mapping[str, object]) -> Event:
    fields = Fields(line)
    kind = fields.text("kind")
    _REQUIRED.get(kind, _nothing)(fields)
    scalars: dict[str, Scalar] = {}
    for name, value in line.items():
        if name in {"t_s", "kind", "seq"}:
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
