"""Whether all nodes let in the same people, and still do after a failover.

Rights travel with replication: at a moment they are compared between the primary and every node
that had replayed what the primary had written, and over time on the primary. Doors are each node's
own (``pg_hba.conf``, ``ALTER SYSTEM``, settings of logs): they are compared between all nodes, and
over time on each. A withdrawal changes rights as it was asked to: from then on they are compared
with what the primary had right after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from chaos.checkers.base import Checker, Gap
from chaos.checkers.needs import access_file
from chaos.checkers.seals import MOMENT_WORDS, ON_ALL
from chaos.evidence.access import ROUNDS, Moment, NodePrint
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, Verdict
from chaos.wording import counted

DOOR_DIFFERS = FindingKind(
    word="door-differs",
    meaning="INVALID: two nodes differ in rights, rules of pg_hba.conf, user maps, ALTER SYSTEM or "
    "settings of logs, or one has changed.",
    heading="Nodes that do not let in the same",
    proved="the nodes do not let in the same people",
    undecided="it is not known whether the nodes let in the same people",
)

NAMED_MAX = 3
"""Differences in the sentence of a finding; its evidence has all."""


def check(run: Run) -> list[Finding]:
    """Compares the nodes at each moment, and each with itself before the fault."""
    found: list[Finding] = []
    for moment in ROUNDS:
        prints = prints_at(run, moment)
        primary = next((one for one in prints.values() if one.is_primary), None)
        reference = primary or next(iter(prints.values()), None)
        for one in prints.values():
            if reference is None or one is reference:
                continue
            doors = _differences(reference.doors, one.doors)
            is_comparable = primary is not None and one.caught_up
            rights = _of_rights(run, reference, one) if is_comparable else {}
            when = MOMENT_WORDS[moment]
            found += _finding(
                f"{one.node} is not as {reference.node} {when}",
                {**doors, **rights},
                {"node": one.node, "than": reference.node, "moment": moment},
            )
    return [*found, *_over_time(run)]


def prints_at(run: Run, moment: Moment) -> Mapping[str, NodePrint]:
    """By node, its fingerprint of that moment, where there is one."""
    return {
        one.node: one for one in run.access.prints if one.moment == moment and one.error is None
    }


def _over_time(run: Run) -> Iterator[Finding]:
    before = prints_at(run, "before")
    rights_then = rights_reference(run)
    for moment in ROUNDS[1:]:
        for one in prints_at(run, moment).values():
            when = MOMENT_WORDS[moment]
            earlier = before.get(one.node)
            if earlier is not None:
                yield from _finding(
                    f"{one.node} has changed: {when} it is not as before the fault",
                    _differences(earlier.doors, one.doors),
                    {"node": one.node, "than": "itself before", "moment": moment},
                )
            if one.is_primary and rights_then is not None:
                yield from _finding(
                    f"the rights on {one.node} {when} are not those on "
                    f"{rights_then.node} {MOMENT_WORDS[rights_then.moment]}",
                    _of_rights(run, rights_then, one),
                    {"node": one.node, "than": rights_then.node, "moment": moment},
                )


def rights_reference(run: Run) -> NodePrint | None:
    """What the primary had right after the last withdrawal, else before the fault."""
    moment: Moment = "withdrawn" if run.access.withdrawn else "before"
    prints = prints_at(run, moment).values()
    return next((one for one in prints if one.is_primary), None)


Difference = tuple[str | None, str | None]
"""What was expected, and what was found; None: there is no such item."""


def _differences(expected: Mapping[str, str], found: Mapping[str, str]) -> Mapping[str, Difference]:
    """By item, where the two are not alike."""
    items = dict.fromkeys([*expected, *found])
    return {
        item: (expected.get(item), found.get(item))
        for item in items
        if expected.get(item) != found.get(item)
    }


def _of_rights(run: Run, expected: NodePrint, found: NodePrint) -> Mapping[str, Difference]:
    """The differences of rights, but for what the scenario says comes and goes."""
    differences = _differences(expected.rights, found.rights)
    moving = run.info.scenario.access.moving
    if not moving:
        return differences
    names = re.compile(rf"\b(?:{'|'.join(re.escape(one) for one in moving)})")
    return {item: one for item, one in differences.items() if not names.search(item)}


def _finding(who: str, differences: Mapping[str, Difference], where: Evidence) -> Iterator[Finding]:
    if not differences:
        return
    named = [sentence(item, one) for item, one in list(differences.items())[:NAMED_MAX]]
    more = len(differences) - len(named)
    if more:
        named.append(f"and {counted(more, 'more difference')}")
    yield Finding(
        kind=DOOR_DIFFERS,
        verdict=Verdict.INVALID,
        summary=f"{who}: {'; '.join(named)}.",
        evidence=tuple(
            {**where, "item": item, "expected": expected, "found": found}
            for item, (expected, found) in differences.items()
        ),
    )


def sentence(item: str, difference: Difference) -> str:
    """One difference in words."""
    expected, found = difference
    if expected is None:
        return f"{item} is there ({found}) and was not expected"
    if found is None:
        return f"{item} is missing ({expected})"
    return f"{item} is {found or 'empty'}, expected {expected or 'empty'}"


def _every_node_has_a_print(run: Run) -> Iterator[Gap]:
    for moment in ROUNDS:
        prints = prints_at(run, moment)
        when = MOMENT_WORDS[moment]
        if moment in ON_ALL:
            for node in run.info.nodes:
                if node not in prints:
                    what = f"the rights and doors of {node} {when} are not on record"
                    yield Gap(what=what, part="access.jsonl")
                elif not prints[node].caught_up:
                    what = f"{node} had not caught up {when}, so its rights were not compared"
                    yield Gap(what=what, part="access.jsonl")
        elif not prints:
            what = f"the rights and doors of every node {when} are not on record"
            yield Gap(what=what, part="access.jsonl")
    if rights_reference(run) is None:
        what = "the rights that the primary should have are not on record"
        yield Gap(what=what, part="access.jsonl")


CHECKER = Checker(
    name="doors",
    question="All nodes have the same rights and the same doors, before and after.",
    check=check,
    finds=(DOOR_DIFFERS,),
    needs=(access_file, _every_node_has_a_print),
    is_asked=lambda run: run.asks_access,
)
