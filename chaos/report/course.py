"""The course of a run: what held from when to when, and what struck when.

Derived from the events alone. All times here are seconds since the start of the run, because that
is the axis that people read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaos.evidence.events import FaultHealed, FaultStruck, LeaderSeen, Phase, PhaseBegan, RoleSeen
from chaos.evidence.run import Run
from chaos.report.words import fault_words, heal_words

SAME_MOMENT_S = 0.5
"""Faults of one kind that strike within this time are one mark: in the chart they would look like
one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """``value`` held in ``from_s..to_s``. None: the role is unknown, or the key has no holder."""

    from_s: float
    to_s: float
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A fault or a heal, possibly of several targets at the same moment."""

    at_s: float
    fault: str
    targets: tuple[str, ...]
    is_heal: bool

    @property
    def words(self) -> str:
        """What it is, short."""
        words = heal_words if self.is_heal else fault_words
        return words(self.fault, self.targets)


def end_s(run: Run) -> float:
    """The last moment of the record, at least 1 s, so that an axis has an extent."""
    moments = [event.t_s for event in run.events]
    for history in run.histories:
        moments += [op.ended_s or op.invoked_s for op in history.operations[-1:]]
    return max([moment - run.info.started_t_s for moment in moments] + [1.0])


def phases(run: Run) -> tuple[Span, ...]:
    """The phases of the drill; ``done`` is a moment and is left out."""
    changes = [(e.t_s, e.phase) for e in run.events_of(PhaseBegan)]
    return tuple(span for span in _spans(run, changes) if span.value != Phase.DONE)


def roles(run: Run, node: str) -> tuple[Span, ...]:
    """The roles of ``node``, in order; equal neighbours are one span."""
    return _spans(run, [(e.t_s, e.role) for e in run.events_of(RoleSeen) if e.node == node])


def leaders(run: Run) -> tuple[Span, ...]:
    """Who held the leader key; ``value`` is None while it was gone."""
    return _spans(run, [(e.t_s, e.holder) for e in run.events_of(LeaderSeen)])


def marks(run: Run) -> tuple[Mark, ...]:
    """Faults and heals, in order."""
    found: list[Mark] = []
    for event in run.events:
        if not isinstance(event, FaultStruck | FaultHealed):
            continue
        mark = Mark(
            at_s=event.t_s - run.info.started_t_s,
            fault=str(event.fault),
            targets=(str(event.target),),
            is_heal=isinstance(event, FaultHealed),
        )
        found = _merged(found, mark)
    return tuple(found)


def primary_before(run: Run) -> str | None:
    """Who was primary when the first fault struck, or at the end where none did."""
    faults = run.events_of(FaultStruck)
    return _primary_at(run, faults[0].t_s if faults else float("inf"))


def primary_after(run: Run) -> str | None:
    """The primary at the end.

    None if the record does not show it: the leader key was gone, or its holder out of reach.
    """
    held = leaders(run)
    primary = _primary_at(run, float("inf"))
    if primary is None or (held and held[-1].value is None):
        return None
    last = roles(run, primary)[-1:]
    return None if last and last[0].value == "unreachable" else primary


def failovers(run: Run) -> tuple[tuple[str, str], ...]:
    """Each change of the leader key from one node to another, as (from, to)."""
    holders = [span.value for span in leaders(run) if span.value is not None]
    return tuple((a, b) for a, b in pairwise(holders) if a != b)


def _primary_at(run: Run, t_s: float) -> str | None:
    """The last holder of the leader key up to ``t_s``; without such events the last promotion."""
    holders = [e.holder for e in run.events_of(LeaderSeen) if e.t_s <= t_s]
    promoted = [e.node for e in run.events_of(RoleSeen) if e.t_s <= t_s and e.is_primary]
    known = [node for node in holders or promoted if node is not None]
    return known[-1] if known else None


def _spans(run: Run, changes: Sequence[tuple[float, str | None]]) -> tuple[Span, ...]:
    until_s = end_s(run)
    starts = [(t_s - run.info.started_t_s, value) for t_s, value in changes]
    ends = [*(t_s for t_s, _ in starts[1:]), until_s][: len(starts)]
    spans: list[Span] = []
    for (from_s, value), to_s in zip(starts, ends, strict=True):
        if spans and spans[-1].value == value:
            from_s = spans.pop().from_s  # noqa: PLW2901  the span goes on
        spans.append(Span(from_s=from_s, to_s=max(to_s, from_s), value=value))
    return tuple(spans)


def _merged(found: Iterable[Mark], mark: Mark) -> list[Mark]:
    """``mark`` added, or joined with the same kind of mark of the same moment."""
    marks_ = list(found)
    for index, other in enumerate(marks_):
        same = (other.fault, other.is_heal) == (mark.fault, mark.is_heal)
        if same and abs(mark.at_s - other.at_s) <= SAME_MOMENT_S:
            marks_[index] = Mark(
                at_s=other.at_s,
                fault=other.fault,
                targets=(*other.targets, *mark.targets),
                is_heal=other.is_heal,
            )
            return marks_
    return [*marks_, mark]
