"""The course of the run as a table: the chart in words, for blind readers and for the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaos.evidence.events import (
    BootStepDone,
    ClusterSettled,
    FaultHealed,
    FaultStruck,
    Interrupted,
    LeaderSeen,
    LinkMeasured,
    Phase,
    PhaseBegan,
    ProcessEnded,
    RoleSeen,
    RunEvent,
    TimelineEnded,
)
from chaos.evidence.run import Run
from chaos.report.words import fault_words, heal_words

ENTRIES_MAX = 80
"""About two pages; a run with more is told by its ``events.jsonl``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChronicleEntry:
    """One line of the chronicle. ``weight`` is ``fault``, ``heal``, ``phase`` or empty."""

    at: str
    words: str
    weight: str


def chronicle(run: Run) -> tuple[ChronicleEntry, ...]:
    """All events that have words, in order."""
    return tuple(
        ChronicleEntry(
            at=f"{event.t_s - run.info.started_t_s:.2f}",
            words=words,
            weight=_WEIGHTS.get(type(event), ""),
        )
        for event in run.events
        if (words := _words(event)) is not None
    )


_WEIGHTS: Mapping[type[RunEvent], str] = {
    FaultStruck: "fault",
    FaultHealed: "heal",
    PhaseBegan: "phase",
}

_BOOT = {
    "network": "The network is there",
    "dcs": "etcd has its quorum",
    "primary": "The primary accepts writes",
    "replicas": "The replicas stream",
    "protected": "The durability that was asked for is in force",
}


def _words(event: RunEvent) -> str | None:  # noqa: PLR0911 - a sentence a kind of event
    """None: it has none."""
    match event:
        case PhaseBegan(phase=phase):
            return "The drill is done" if phase == Phase.DONE else f"Phase {phase} begins"
        case BootStepDone(step=step):
            return _BOOT.get(step or "", f"Boot: {step or ''}")
        case FaultStruck():
            words = fault_words(event.fault, [event.target or ""])
            return _with_detail(f"Fault, {words}", event.detail)
        case FaultHealed():
            words = heal_words(event.fault or "", [event.target or ""])
            return _with_detail(f"Heal, {words}", event.detail)
        case RoleSeen():
            about = {"timeline": event.timeline, "sync": event.sync}
            told = [f"{name} {value}" for name, value in about.items() if value is not None]
            return _with_detail(f"{event.node} is {event.role}", ", ".join(told))
        case LeaderSeen(holder=holder):
            return f"{holder} holds the leader key" if holder else "The leader key is gone"
        case LinkMeasured():
            return _link_words(event)
        case TimelineEnded():
            words = f"Timeline {event.timeline} ended at {event.end_lsn}"
            return _with_detail(words, event.reason)
        case ClusterSettled(timeline=timeline):
            return f"The cluster is whole again, on timeline {_shown(timeline)}"
        case ProcessEnded():
            expected = "expected" if event.expected else "not expected"
            process = f"{event.process or ''} on {event.host or ''}"
            return f"{process} ended with status {_shown(event.status)} ({expected})"
        case Interrupted(reason=reason):
            return f"The run was interrupted: {reason or ''}"
        case _:
            return None


def _link_words(event: LinkMeasured) -> str:
    """What a link was like, beside what it was to be."""
    lost = f", {event.lost} of {event.sent} packets lost" if event.lost else ""
    found = (
        "no packet came back"
        if event.median_ms is None
        else f"median {event.median_ms:.1f} ms, p95 {event.p95_ms or 0:.1f} ms{lost}"
    )
    words = f"The link {event.link} under load, asked {event.asked}: {found}"
    return _with_detail(words, event.carrier and f"carried by the {event.carrier}")


def _with_detail(words: str, detail: str | None) -> str:
    return f"{words} ({detail})" if detail else words


def _shown(number: int | None) -> str:
    return "" if number is None else str(number)
