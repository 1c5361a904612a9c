"""From the events of a history to attempts: each beginning with its end.

A process does one thing at a time, so its next end belongs to its last beginning. Where lines name
no process (elle-cli's ``comments.edn``), the end belongs to the oldest beginning of the same ``f``.
An end without a beginning is no attempt: Jepsen logs such ``info`` lines about itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.consistency.attempts import ClientAttempt
from chaos.consistency.foreign.jepsen import NO_PROCESS, HistoryEvent, read_events


def read_attempts(path: Path) -> list[ClientAttempt]:
    """The attempts in a file, by their beginnings.

    Raises:
        HistoryFileError: as ``read_events``.
    """
    return attempts_of(read_events(path))


def attempts_of(events: Sequence[HistoryEvent]) -> list[ClientAttempt]:
    """The attempts of clients, by their beginnings; one without an end is ``info``."""
    has_lines = len({event.line for event in events}) == len(events)
    running: dict[tuple[int, str], list[tuple[int, HistoryEvent]]] = {}
    attempts: list[ClientAttempt] = []
    for position, event in enumerate(events):
        who = (event.process, event.f if event.process == NO_PROCESS else "")
        if event.type == "invoke":
            running.setdefault(who, []).append((position, event))
        elif begun := running.get(who):
            began, asked = begun.pop(0 if event.process == NO_PROCESS else -1)
            attempts.append(_attempt(began, asked, (position, event), has_lines))
    for begun in running.values():
        attempts += [_attempt(began, asked, None, has_lines) for began, asked in begun]
    return sorted(attempts, key=lambda one: one.began)


def _attempt(
    began: int, asked: HistoryEvent, end: tuple[int, HistoryEvent] | None, has_lines: bool
) -> ClientAttempt:
    ended, answer = end or (None, None)
    return ClientAttempt(
        f=asked.f,
        asked=asked.value,
        answered=None if answer is None else answer.value,
        outcome="info" if answer is None or answer.type == "invoke" else answer.type,
        began=began,
        ended=ended,
        process=None if asked.process == NO_PROCESS else asked.process,
        key=asked.fields.get("key"),
        line=asked.line if has_lines else 0,
        end_line=answer.line if has_lines and answer is not None else 0,
    )
