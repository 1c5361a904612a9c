"""Whether every probe was answered as it must be, on every node and at every moment.

An escape that shows a row is a broken seal, at whatever moment: also on a node that is cut off or
lags. A right answer must be there in each round on every node that answers, and before the fault
and at the end on all of them. A right that was withdrawn is judged by the checker ``withdrawal``
from then on; only at the end it must be refused here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from chaos.checkers.base import Checker, Gap
from chaos.checkers.needs import access_file
from chaos.evidence.access import ROUNDS, Moment, ProbeAnswer
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.scenarios.access import ProbeSpec
from chaos.wording import counted, joined

SEAL_BROKEN = FindingKind(
    word="seal-broken",
    meaning="INVALID: a probe that must be refused, or see fewer rows, was shown rows.",
    heading="Seal that did not hold",
    proved="somebody saw what must be sealed",
    undecided="it is not known whether every seal held",
)

ANSWER_DIFFERS = FindingKind(
    word="answer-differs",
    meaning="INVALID: a probe was answered otherwise than it must be, or otherwise than on the "
    "primary before the fault, and shows no row too many.",
    heading="Probe answered otherwise",
    proved="a node answered a probe otherwise than it must",
    undecided="it is not known whether every probe was answered alike",
)

ON_ALL: tuple[Moment, ...] = ("before", "rejoined")
"""Moments at which every node is whole, and so must answer."""

MOMENT_WORDS = {
    "before": "before the fault",
    "meanwhile": "while the faults lasted",
    "withdrawn": "after the withdrawal",
    "promoted": "just before the heal",
    "rejoined": "at the end",
}


def check(run: Run) -> list[Finding]:
    """Holds every answer against what the scenario expects."""
    findings: list[Finding] = []
    for probe in run.info.scenario.access.probes:
        broken: list[ProbeAnswer] = []
        others: list[ProbeAnswer] = []
        right = RightAnswer.of(run, probe)
        for answer in judged_answers(run, probe):
            wrong = right.wrong(answer)
            if wrong is not None:
                (broken if wrong is SEAL_BROKEN else others).append(answer)
        if broken:
            findings.append(
                Finding(
                    kind=SEAL_BROKEN,
                    verdict=Verdict.INVALID,
                    summary=_summary(probe, broken),
                    evidence=_evidence(broken),
                )
            )
        if others:
            findings.append(
                Finding(
                    kind=ANSWER_DIFFERS,
                    verdict=Verdict.INVALID,
                    summary=_summary(probe, others),
                    evidence=_evidence(others),
                )
            )
    return findings


def judged_answers(run: Run, probe: ProbeSpec) -> Iterator[ProbeAnswer]:
    """The answers to a probe that count here: none from its withdrawal to the end, when it must be
    refused; nor then where the withdrawal was not acknowledged, as nobody knows what became of it.
    """
    withdrawn_s = withdrawn_from(run, probe.name)
    is_done = {one.probe for one in run.access.withdrawn if one.is_acknowledged}
    for answer in run.access.answers:
        is_at_the_end = answer.moment == "rejoined" and probe.name in is_done
        if answer.probe == probe.name and (answer.end_s < withdrawn_s or is_at_the_end):
            yield answer


def withdrawn_from(run: Run, probe: str) -> float:
    """When its withdrawal was begun: from then on it may be refused; infinite if it never was."""
    begun = [one.begin_s for one in run.access.withdrawn if one.probe == probe]
    return min(begun, default=float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RightAnswer:
    """What a probe must be answered in one run."""

    probe: ProbeSpec
    withdrawn_s: float
    """From then on it is refused."""
    digest: str | None
    """Of the rows that the primary answered before the fault."""

    @classmethod
    def of(cls, run: Run, probe: ProbeSpec) -> Self:
        """For one probe of the scenario."""
        reference = primary_before(run, probe)
        return cls(
            probe=probe,
            withdrawn_s=withdrawn_from(run, probe.name),
            digest=None if reference is None else reference.digest,
        )

    def wrong(self, answer: ProbeAnswer) -> FindingKind | None:
        """Which finding an answer is; None: it is right, or was none."""
        if answer.outcome == "unanswered":
            return None
        if self.probe.expect == "refused" or answer.end_s > self.withdrawn_s:
            # No right and no rows are not the same to whoever set the seal.
            refused = None if answer.outcome == "refused" else ANSWER_DIFFERS
            return SEAL_BROKEN if answer.admits else refused
        if self.probe.expect == "error":
            other = None if answer.outcome == "error" else ANSWER_DIFFERS
            return SEAL_BROKEN if answer.admits else other
        if answer.outcome != "rows":
            return ANSWER_DIFFERS
        if self.probe.expect == "rows":
            return _wrong_number(answer.rows or 0, self.probe.rows or 0)
        return None if self.digest in {None, answer.digest} else ANSWER_DIFFERS


def _wrong_number(found: int, expected: int) -> FindingKind | None:
    if found > expected:
        return SEAL_BROKEN
    return None if found == expected else ANSWER_DIFFERS


def primary_before(run: Run, probe: ProbeSpec) -> ProbeAnswer | None:
    """What the primary answered before the fault; None: rows of it are not on record."""
    primaries = {one.node for one in run.access.prints if one.moment == "before" and one.is_primary}
    for answer in run.access.answers:
        if (answer.probe, answer.moment) == (probe.name, "before") and answer.node in primaries:
            return answer if answer.outcome == "rows" else None
    return None


def _summary(probe: ProbeSpec, answers: Sequence[ProbeAnswer]) -> str:
    nodes = joined(sorted({one.node for one in answers}))
    moments = joined([MOMENT_WORDS[m] for m in dict.fromkeys(one.moment for one in answers)])
    said = joined(list(dict.fromkeys(answer_words(one) for one in answers)))
    if answers[0].outcome == "rows" and probe.expect == "same":
        said = f"other rows ({said})"
    expected = f"{probe.name} (as {probe.role}): expected {probe.words}"
    return f"{expected}; found {said} on {nodes}, {moments} ({counted(len(answers), 'answer')})."


def answer_words(answer: ProbeAnswer) -> str:
    """``refused``, ``12 rows``, an error by its SQLSTATE, or no answer."""
    if answer.outcome == "rows":
        return counted(answer.rows or 0, "row")
    if answer.outcome == "error":
        return f"error {answer.sqlstate}"
    return "refused" if answer.outcome == "refused" else "no answer"


def _evidence(answers: Sequence[ProbeAnswer]) -> tuple[Evidence, ...]:
    return tuple(
        {
            "t_s": one.end_s,
            "node": one.node,
            "moment": one.moment,
            "access": one.id,
            "answer": answer_words(one),
            "digest": one.digest,
            "words": one.words,
        }
        for one in answers
    )


def _every_node_answered(run: Run) -> Iterator[Gap]:
    """Each probe was answered by every node where all are whole, and by one before the heal."""
    for probe in run.info.scenario.access.probes:
        for moment in ROUNDS:
            answered = {
                one.node
                for one in run.access.answers
                if (one.probe, one.moment) == (probe.name, moment) and one.outcome != "unanswered"
            }
            when = MOMENT_WORDS[moment]
            if moment in ON_ALL:
                for node in run.info.nodes:
                    if node not in answered:
                        what = f"{node} did not answer {probe.name} {when}"
                        yield Gap(what=what, part="access.jsonl")
            elif not answered:
                yield Gap(what=f"nobody answered {probe.name} {when}", part="access.jsonl")
        if probe.expect == "same" and primary_before(run, probe) is None:
            what = f"the primary's own answer to {probe.name} before the fault is not on record"
            yield Gap(what=what, part="access.jsonl")


CHECKER = Checker(
    name="seals",
    question="Everybody saw what is theirs and nothing else, on every node, before and after.",
    check=check,
    finds=(SEAL_BROKEN, ANSWER_DIFFERS),
    needs=(access_file, _every_node_answered),
    is_asked=lambda run: run.asks_access,
)
