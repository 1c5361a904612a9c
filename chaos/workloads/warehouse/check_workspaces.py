"""Whether each node has the workspaces that its steward made, and nobody in them who withdrew.

Each node is held against itself: an act and its row were one transaction, and everything was read
in one snapshot. That no acknowledged act is missing is what ``lost-entries`` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import FinalRead
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind, invalid
from chaos.workloads.warehouse import WarehouseOptions

WRONG_WORKSPACE = FindingKind(
    word="wrong-workspace",
    meaning="INVALID: a workspace is open that was closed, or closed that was opened; or somebody "
    "is in it who was dismissed, or not in it who was admitted.",
    heading="Workspace that is not what its steward made of it",
    proved="workspaces were not what their stewards had made of them",
    undecided="it is not known whether the workspaces are what their stewards made of them",
)

WITHDRAWN_IN_COPY = FindingKind(
    word="withdrawn-in-copy",
    meaning="INVALID: the copy of an open workspace has more or fewer patients than its cohort in "
    "the warehouse has: somebody who withdrew is still there, or somebody else was forgotten.",
    heading="Copy with other patients than its cohort",
    proved="copies of workspaces had other patients than their cohort",
    undecided="it is not known whether who withdrew is gone from the copies",
)

Spaces = dict[str, tuple[str, ...]]
"""By open workspace, its members."""


def check(run: Run) -> list[Finding]:
    """One finding a node and kind."""
    findings = []
    for read in run.final_reads:
        if read.error is not None:
            continue
        findings += invalid(
            kind=WRONG_WORKSPACE,
            summary=f"On {read.node} workspaces are not what their stewards made of them: {{n}}.",
            evidence=_differing(read),
        )
        findings += invalid(
            kind=WITHDRAWN_IN_COPY,
            summary=f"On {read.node} copies have other patients than their cohort: {{n}}.",
            evidence=_crowds(read),
        )
    return findings


def _acts(read: FinalRead) -> list[tuple[str, int, str, str]]:
    """Site, number, workspace and act of every act on record, in the order of each site."""
    found = []
    for row in read.rows:
        content = json.loads(row.content)
        if content.get("op") == "stewardship":
            site, project, act = (str(content[key]) for key in ("site", "project", "act"))
            found.append((site, int(content["number"]), project, act))
    return sorted(found)


def made(read: FinalRead) -> Spaces:
    """What the acts on record make of the workspaces, one after another. An act on a workspace that
    is not open does nothing, as the steward does it."""
    spaces: Spaces = {}
    for site, _, project, act in _acts(read):
        member = f"steward_{site.replace('-', '_')}"
        if act == "open":
            spaces.setdefault(project, ())
        elif act == "close":
            spaces.pop(project, None)
        elif project in spaces:
            spaces[project] = (member,) if act == "admit" else ()
    return spaces


def _differing(read: FinalRead) -> Iterator[Evidence]:
    due = made(read)
    found: dict[str, tuple[bool, tuple[str, ...]]] = {}
    for row in read.state:
        kind, _, name = row.id.partition(":")
        if kind == "workspace":
            content = json.loads(row.content)
            found[name] = (bool(content["schema"]), tuple(content["members"]))
        elif kind == "workspace-without-role":
            found[name] = (True, ("nobody: it has no role",))
    for name in sorted(due.keys() | found.keys()):
        is_open, members = found.get(name, (False, ()))
        should = due.get(name)
        is_there = name in found
        if is_there != (should is not None) or (is_there and (not is_open or members != should)):
            yield {
                "node": read.node,
                "workspace": name,
                "open": is_open,
                "members": ", ".join(members),
                "should_be": "closed" if should is None else f"open, with {', '.join(should)}",
            }


def _crowds(read: FinalRead) -> Iterator[Evidence]:
    state = {row.id: row.content for row in read.state}
    cohort = int(state.get("workspace-cohort", "-1"))
    for name, content in sorted(state.items()):
        persons = json.loads(content)["persons"] if name.startswith("workspace:") else None
        if persons is not None and persons != cohort:
            workspace = name.removeprefix("workspace:")
            yield {
                "node": read.node,
                "workspace": workspace,
                "patients": int(persons),
                "in_cohort": cohort,
            }


def _has_workspaces(run: Run) -> bool:
    options = run.info.scenario.workload.options
    return isinstance(options, WarehouseOptions) and options.workspaces


WORKSPACES = Checker(
    name="workspaces",
    question="Every workspace is what its steward made of it, and nobody who withdrew is in one.",
    check=check,
    finds=(WRONG_WORKSPACE, WITHDRAWN_IN_COPY),
    needs=(needs.histories, needs.final_reads),
    is_asked=_has_workspaces,
    workloads=("warehouse",),
)
