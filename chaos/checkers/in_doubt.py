"""Operations that were left in doubt though they could have been resolved.

An operation that ends ``info`` is honest, but does not answer its caller. It is excused where no
node could have been asked: there was no primary until its time was over, its load process died, or
the load was stopped while it was still open (what is open then gets some seconds, not its
deadline).

It is a finding where a primary could have been asked. That takes two things:

- **time**: from its invocation to its end, or to its deadline where it gave up before that (but
  not beyond the end of the load);
- **a primary that answers**: within that time others were acknowledged for ``RESOLVE_S`` on end,
  without a gap that would count as time without service, and still were when the operation ended,
  or were again afterwards.

Others of its own site, because what reached them reaches it: INVALID. Where the site had no other
operation to tell (one worker), those of other sites say only that there was a primary, not that the
site could reach it: UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import Phase
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.load import phase_window, unserved_s_min
from chaos.timing.settings import number_in_force
from chaos.wording import counted

IN_DOUBT_UNRESOLVED = FindingKind(
    word="in-doubt-unresolved",
    meaning="INVALID: an operation was left in doubt while a primary acknowledged others of its "
    "site. UNKNOWN: others were of other sites.",
    heading="Left in doubt though it could have been resolved",
    proved="operations were left in doubt that could have been resolved",
    undecided="it is not known whether operations left in doubt could have been resolved",
)

RESOLVE_S = 5.0
"""So long a primary must have acknowledged others. To find the new primary, connect and ask the id
row takes a storage layer tenths of a second, with its longest pauses two seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Others were acknowledged from ``from_s`` to ``to_s``, ``acknowledged`` times."""

    from_s: float
    to_s: float
    acknowledged: int


def check(run: Run) -> list[Finding]:
    """One finding for what its own site could have resolved, one for what others could."""
    left = [
        operation
        for history in run.histories
        for operation in history.operations
        if operation.outcome == "info" and operation.ended_s is not None and not operation.stopped
    ]
    own: list[dict[str, Scalar]] = []
    elsewhere: list[dict[str, Scalar]] = []
    for operation in left:
        others = acknowledgements(run, operation)
        if service := could_be_resolved(run, operation, others.own):
            own.append(_evidence(run, operation, service))
        elif not others.own and (service := could_be_resolved(run, operation, others.elsewhere)):
            elsewhere.append(_evidence(run, operation, service))
    findings = []
    if own:
        words = "left in doubt while a primary acknowledged others of the same site"
        findings.append(_finding(own, Verdict.INVALID, words))
    if elsewhere:
        words = "left in doubt while a primary acknowledged others, none of them of the same site"
        findings.append(_finding(elsewhere, Verdict.UNKNOWN, words))
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """When others were acknowledged within an operation's time, in ascending order."""

    own: Sequence[float]
    """Of its own site."""
    elsewhere: Sequence[float]


def acknowledgements(run: Run, operation: Operation) -> Acknowledgements:
    """The acknowledged operations whose last attempt lies within the time of ``operation``."""
    until_s = time_until_s(run, operation)
    found: dict[bool, list[float]] = {True: [], False: []}
    for history in run.histories:
        for other in history.operations:
            if other.outcome != "ok" or other.ended_s is None:
                continue
            if other.begin_s >= operation.invoked_s and other.ended_s <= until_s:
                found[history.site == operation.site].append(other.ended_s)
    return Acknowledgements(own=sorted(found[True]), elsewhere=sorted(found[False]))


def time_until_s(run: Run, operation: Operation) -> float:
    """Until when it could have been resolved: its end, or later where it gave up too early."""
    ended_s = operation.invoked_s if operation.ended_s is None else operation.ended_s
    deadline_s = number_in_force(run, "deadline_s")
    quiesce = phase_window(run, Phase.QUIESCE)
    if deadline_s is None or quiesce is None:
        return ended_s
    return max(ended_s, min(operation.invoked_s + deadline_s, quiesce.begin_s))


def could_be_resolved(run: Run, operation: Operation, moments_s: Sequence[float]) -> Service | None:
    """The service that would have been enough; None if there was none.

    Args:
        run: The evidence.
        operation: It ended ``info``.
        moments_s: When others were acknowledged, within its time, in ascending order.
    """
    gap_s_max = unserved_s_min(number_in_force(run, "rate_per_s"))
    ended_s = operation.invoked_s if operation.ended_s is None else operation.ended_s
    for service in _stretches(moments_s, gap_s_max):
        long_enough = service.to_s - service.from_s >= RESOLVE_S
        if long_enough and service.to_s >= ended_s - gap_s_max:
            return service
    return None


def _stretches(moments_s: Sequence[float], gap_s_max: float) -> Iterable[Service]:
    """Moments with no gap above ``gap_s_max`` between them, put together."""
    if not moments_s:
        return
    begin = 0
    for index, (one_s, next_s) in enumerate(pairwise(moments_s), start=1):
        if next_s - one_s > gap_s_max:
            yield Service(from_s=moments_s[begin], to_s=one_s, acknowledged=index - begin)
            begin = index
    yield Service(from_s=moments_s[begin], to_s=moments_s[-1], acknowledged=len(moments_s) - begin)


def _evidence(run: Run, operation: Operation, service: Service) -> dict[str, Scalar]:
    return {
        "id": operation.id,
        "site": operation.site,
        "node": operation.node,
        "invoked_s": operation.invoked_s,
        "ended_s": operation.ended_s,
        "allowed": number_in_force(run, "deadline_s"),
        "attempts": operation.attempts,
        "served_from_s": service.from_s,
        "served_to_s": service.to_s,
        "acknowledged": service.acknowledged,
        "error": operation.error,
    }


def _finding(evidence: list[dict[str, Scalar]], verdict: Verdict, words: str) -> Finding:
    return Finding(
        kind=IN_DOUBT_UNRESOLVED,
        verdict=verdict,
        summary=f"{counted(len(evidence), 'operation was', 'operations were')} {words}.",
        evidence=tuple(evidence),
    )


CHECKER = Checker(
    name="in-doubt",
    question="No operation was left in doubt that could have been resolved.",
    check=check,
    finds=(IN_DOUBT_UNRESOLVED,),
    needs=(needs.histories, needs.load_to_its_end),
)
