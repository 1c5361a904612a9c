"""The course of the run as a table: the chart in words, for who cannot see it and for the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaos.evidence.records import Event, Scalar
from chaos.evidence.run import Run
from chaos.report.words import fault_words, heal_words

ENTRIES_MAX = 80
"""About two pages; a run with more is told by its ``events.jsonl``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the chronicle. ``weight`` is ``fault``, ``heal``, ``phase`` or empty."""

    at: str
    words: str
    weight: str


def chronicle(run: Run) -> tuple[Entry, ...]:
    """All events that have words, in order."""
    return tuple(
        Entry(
            at=f"{event.t_s - run.info.started_t_s:.2f}",
            words=_WORDS[event.kind](event),
            weight=event.kind if event.kind in {"fault", "heal", "phase"} else "",
        )
        for event in run.events
        if event.kind in _WORDS
    )


_BOOT = {
    "network": "The network is there",
    "dcs": "etcd has its quorum",
    "primary": "The primary accepts writes",
    "replicas": "The replicas stream",
    "protected": "The durability that was asked for is in force",
}


def _field(event: Event, name: str) -> str:
    value = event.fields.get(name)
    return "" if value is None else str(value)


def _with_detail(words: str, detail: str) -> str:
    return f"{words} ({detail})" if detail else words


def _phase(event: Event) -> str:
    phase = _field(event, "phase")
    return "The drill is done" if phase == "done" else f"Phase {phase} begins"


def _boot(event: Event) -> str:
    step = _field(event, "step")
    return _BOOT.get(step, f"Boot: {step}")


def _fault(event: Event) -> str:
    words = fault_words(_field(event, "fault"), [_field(event, "target")])
    return _with_detail(f"Fault, {words}", _field(event, "detail"))


def _heal(event: Event) -> str:
    words = heal_words(_field(event, "fault"), [_field(event, "target")])
    return _with_detail(f"Heal, {words}", _field(event, "detail"))


def _role(event: Event) -> str:
    about: Mapping[str, Scalar] = {
        "timeline": event.fields.get("timeline"),
        "sync": event.fields.get("sync"),
    }
    told = ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)
    return _with_detail(f"{_field(event, 'node')} is {_field(event, 'role')}", told)


def _leader_key(event: Event) -> str:
    holder = _field(event, "holder")
    return f"{holder} holds the leader key" if holder else "The leader key is gone"


def _timeline(event: Event) -> str:
    words = f"Timeline {_field(event, 'timeline')} ended at {_field(event, 'end_lsn')}"
    return _with_detail(words, _field(event, "reason"))


def _settled(event: Event) -> str:
    return f"The cluster is whole again, on timeline {_field(event, 'timeline')}"


def _child_exit(event: Event) -> str:
    expected = "expected" if event.fields.get("expected") else "not expected"
    process = f"{_field(event, 'process')} on {_field(event, 'host')}"
    return f"{process} ended with status {_field(event, 'status')} ({expected})"


def _interrupted(event: Event) -> str:
    return f"The run was interrupted: {_field(event, 'reason')}"


_WORDS: Mapping[str, Callable[[Event], str]] = {
    "phase": _phase,
    "boot": _boot,
    "fault": _fault,
    "heal": _heal,
    "role": _role,
    "leader-key": _leader_key,
    "timeline": _timeline,
    "settled": _settled,
    "child-exit": _child_exit,
    "interrupted": _interrupted,
}
