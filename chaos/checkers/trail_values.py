"""Whether the logs of any node hold a value of a sealed column.

A log has other readers than the table: who looks after servers, and whatever it is shipped to. An
error of a cast has the value in its message, a statement its parameters, a broken key its detail. A
scenario plants made-up values in sealed columns and names them (``sealed_values``); no line of any
log may have one at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checkers.base import Checker, Gap
from chaos.checkers.needs import access_file
from chaos.checkers.trail import every_trail
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, invalid

VALUE_IN_TRAIL = FindingKind(
    word="value-in-trail",
    meaning="INVALID: a line of a node's log has a value of a sealed column.",
    heading="Sealed value in a log",
    proved="values of sealed columns stand in the logs",
    undecided="it is not known whether the logs hold values of sealed columns",
)


def check(run: Run) -> list[Finding]:
    """One finding for all nodes and values."""
    return invalid(
        kind=VALUE_IN_TRAIL,
        summary="Values of sealed columns stand in the logs of nodes: {n}.",
        evidence=(
            {"node": trail.node, "value": value, "lines": int(lines)}
            for trail in run.access.trails
            for value, lines in sorted(trail.values.items())
        ),
    )


def _is_asked(run: Run) -> bool:
    return run.info.scenario.access.trail and bool(run.info.scenario.access.sealed_values)


def _errors_were_made(run: Run) -> Iterator[Gap]:
    """Where nobody made an error about what is sealed, clean logs prove nothing."""
    wrong = {one.name for one in run.info.scenario.access.probes if one.expect == "error"}
    if not any(one.probe in wrong and one.outcome == "error" for one in run.access.answers):
        yield Gap(what="no probe has made an error that could be logged", part="access.jsonl")


CHECKER = Checker(
    name="trail-values",
    question="No line of any log has a value of a sealed column.",
    check=check,
    finds=(VALUE_IN_TRAIL,),
    needs=(access_file, every_trail, _errors_were_made),
    is_asked=_is_asked,
)
