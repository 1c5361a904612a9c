"""How long after its acknowledgement a withdrawn right was still admitted, and by whom.

Two demands. Every node that could be asked all the time refuses within the bound of the scenario:
a replica that lags, is cut off or restarts admits until it has replayed the withdrawal. And a node
that was away for longer than this bound, and comes back with older data, admits nobody at all: it
has not to open before it has caught up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.checkers.base import Checker, Gap
from chaos.checkers.needs import access_file
from chaos.evidence.access import ProbeAnswer, Withdrawn
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.scenarios.access import WithdrawalSpec
from chaos.wording import counted, joined

STILL_ADMITTED = FindingKind(
    word="still-admitted",
    meaning="INVALID: a right that was withdrawn was admitted for longer than the scenario allows, "
    "or by a node that came back with older data after a longer absence.",
    heading="Withdrawn right that was still admitted",
    proved="a withdrawn right was still admitted",
    undecided="it is not known when a withdrawn right was refused everywhere",
)


AWAY = ("57P01", "57P02", "57P03")
"""It stops, has crashed, or starts (PostgreSQL, appendix A)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWithdrawal:
    """What one node did about a withdrawal."""

    node: str
    stale: tuple[ProbeAnswer, ...]
    """Answers that were asked for after the acknowledgement, and showed rows."""
    came_back: tuple[ProbeAnswer, ...]
    """Those of them that came after the node had been away for longer than the bound."""
    refused: bool
    """It has refused in the end."""

    def longest_s(self, acknowledged_s: float) -> float:
        """From the acknowledgement to the end of the last answer with rows; 0: none had any."""
        return max((one.end_s - acknowledged_s for one in self.stale), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalCourse:
    """How a withdrawal came into force."""

    asked: WithdrawalSpec
    done: Withdrawn
    nodes: tuple[NodeWithdrawal, ...]

    @property
    def longest_s(self) -> float:
        """Until the last node admitted for the last time."""
        return max((one.longest_s(self.done.end_s) for one in self.nodes), default=0.0)

    @property
    def is_refused_everywhere(self) -> bool:
        """Every node has refused in the end."""
        return bool(self.nodes) and all(one.refused for one in self.nodes)


def courses(run: Run) -> tuple[WithdrawalCourse, ...]:
    """Every withdrawal that was acknowledged, in the order of the scenario."""
    done = {one.probe: one for one in run.access.withdrawn if one.is_acknowledged}
    return tuple(
        WithdrawalCourse(
            asked=asked,
            done=done[asked.probe],
            nodes=tuple(
                _of_node(run, node, done[asked.probe], asked.within_s) for node in run.info.nodes
            ),
        )
        for asked in run.info.scenario.access.withdrawals
        if asked.probe in done
    )


def _of_node(run: Run, node: str, done: Withdrawn, within_s: float) -> NodeWithdrawal:
    of_node = sorted(
        (one for one in run.access.answers if one.node == node), key=lambda one: one.begin_s
    )
    back_s = _back_s(of_node, done.end_s, within_s)
    later = [one for one in of_node if one.probe == done.probe and one.begin_s >= done.end_s]
    stale = tuple(one for one in later if one.admits)
    return NodeWithdrawal(
        node=node,
        stale=stale,
        came_back=tuple(one for one in stale if one.begin_s >= back_s),
        refused=bool(later) and later[-1].outcome == "refused",
    )


def _back_s(of_node: Sequence[ProbeAnswer], acknowledged_s: float, within_s: float) -> float:
    """When a node first answered again, after the acknowledgement, that had not for longer than
    the bound; infinite: none such."""
    there_s: float | None = None
    is_gone = False
    for one in of_node:
        if _is_away(one):
            is_gone = True
            there_s = one.begin_s if there_s is None else there_s
            continue
        if is_gone and one.begin_s >= acknowledged_s:
            assert there_s is not None
            if one.begin_s - there_s > within_s:
                return one.begin_s
        is_gone, there_s = False, one.end_s
    return math.inf


def _is_away(answer: ProbeAnswer) -> bool:
    """The node had no power, hung, or was starting; a question that it cancelled proves nothing."""
    return answer.outcome == "unanswered" and (answer.sqlstate or "57P03") in AWAY


def check(run: Run) -> list[Finding]:
    """Holds every withdrawal against its bound."""
    findings: list[Finding] = []
    for course in courses(run):
        acknowledged_s, within_s = course.done.end_s, course.asked.within_s
        late = [one for one in course.nodes if one.longest_s(acknowledged_s) > within_s]
        if late:
            longest_s = course.longest_s
            findings.append(
                _finding(
                    course,
                    f"{course.asked.probe} was withdrawn, and {joined([n.node for n in late])} "
                    f"still admitted it {longest_s:.1f} s after the acknowledgement; at most "
                    f"{within_s:g} s are allowed.",
                    [answer for one in late for answer in one.stale],
                )
            )
        back = [one for one in course.nodes if one.came_back]
        if back:
            stale = [answer for one in back for answer in one.came_back]
            findings.append(
                _finding(
                    course,
                    f"{course.asked.probe} was withdrawn while {joined([n.node for n in back])} "
                    f"was away, and admitted {counted(len(stale), 'time')} after that node came "
                    "back with older data.",
                    stale,
                )
            )
    return findings


def _finding(course: WithdrawalCourse, summary: str, stale: list[ProbeAnswer]) -> Finding:
    return Finding(
        kind=STILL_ADMITTED,
        verdict=Verdict.INVALID,
        summary=summary,
        evidence=tuple(_evidence(course, one) for one in stale),
    )


def _evidence(course: WithdrawalCourse, answer: ProbeAnswer) -> Evidence:
    return {
        "t_s": answer.end_s,
        "node": answer.node,
        "access": answer.id,
        "rows": answer.rows,
        "after_s": answer.end_s - course.done.end_s,
        "sql": course.asked.sql,
    }


def _withdrawn_and_refused(run: Run) -> Iterator[Gap]:
    """Every withdrawal was acknowledged, and refused by every node in the end."""
    known = {course.asked.probe: course for course in courses(run)}
    for asked in run.info.scenario.access.withdrawals:
        course = known.get(asked.probe)
        if course is None:
            failed = [one.error for one in run.access.withdrawn if one.probe == asked.probe]
            why = failed[0] if failed else "nothing on record"
            what = f"the withdrawal of {asked.probe} was not acknowledged ({why})"
            yield Gap(what=what, part="access.jsonl")
            continue
        for one in course.nodes:
            if not one.refused:
                what = f"{one.node} was not seen to refuse {asked.probe}"
                yield Gap(what=what, part="access.jsonl")


CHECKER = Checker(
    name="withdrawal",
    question="What was withdrawn was refused everywhere in time.",
    check=check,
    finds=(STILL_ADMITTED,),
    needs=(access_file, _withdrawn_and_refused),
    is_asked=lambda run: bool(run.info.scenario.access.withdrawals),
)
