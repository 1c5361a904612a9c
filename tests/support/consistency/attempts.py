"""Attempts in the order of their lines: ``0 add 5``, ``0 ok 5``, ``1 read``, ``1 ok 5 6``."""

from __future__ import annotations

from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.foreign.attempts import attempts_of
from chaos.consistency.foreign.jepsen import HistoryEvent, events_of_text


def attempts(edn: str) -> list[ClientAttempt]:
    """The attempts of a history in EDN, one operation a line without its braces:
    ``0 :invoke :add 5`` is process, type, f and value."""
    operations = []
    for line in edn.strip().splitlines():
        process, kind, f, *value = line.split(maxsplit=3)
        operations.append(
            f"{{:process {process}, :type {kind}, :f {f}, :value {value[0] if value else 'nil'}}}"
        )
    return attempts_of(events_of_text("\n".join(operations)))


def alone(*steps: tuple[str, object, object]) -> list[ClientAttempt]:
    """One process that does one thing after the other: f, what it asks, what it is answered."""
    events = []
    for f, asked, answered in steps:
        for kind, value in (("invoke", asked), ("ok", answered)):
            events.append(HistoryEvent(len(events) + 1, kind, 0, f, value, {}))
    return attempts_of(events)
