"""Units of work that several callers sent under one id: exactly one of them applied it.

Each caller has an entry of its own, so the final reads say whose took effect. The one that was told
``Applied`` (``ok``) has its entry on every node; one that was told ``AlreadyApplied`` (``already``)
has none, and another one has. A caller that got no answer (``info``) may be either. If a caller
never came, because its site was cut off, or was told ``NotApplied``, the other may still apply the
unit.

The checker of phantom entries makes sure that a failed caller has no entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaos.checkers import needs
from chaos.checkers.authority import authority, lost_operations
from chaos.checkers.base import Checker, Gap
from chaos.evidence.given_up import given_up_ids
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.wording import counted
from chaos.workloads.registry import WORKLOADS

SHARED_UNIT = FindingKind(
    word="unit-not-applied-once",
    meaning="INVALID: of the callers of one unit of work more than one was told that it was "
    "applied, or its entry is missing, or that of another caller is there. UNKNOWN: it could be "
    "the unit of a caller whose history was cut short. VALID: a loss explains it, and the scenario "
    "allows as many.",
    heading="Unit of work not applied exactly once",
    proved="units that two sites sent were not applied exactly once",
    undecided="it is not known whether units that two sites sent were applied once",
)

SHARED_EVERY = "shared_every"
"""The setting of ``run.json``: a worker shares one slot in this many; 0: none."""

ROUNDS_MIN = 10
"""After this many rounds two callers of one unit must be on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wrong:
    """What is wrong with a unit."""

    words: str
    is_loss: bool = False
    """It is what a scenario that allows losses allows."""
    is_proved: bool = True
    """A caller without a record could not explain it."""


def is_asked(run: Run) -> bool:
    """Whether the load shared units; older run folders, and one site alone, have none."""
    return bool(run.info.settings.get(SHARED_EVERY)) or bool(callers_by_unit(run))


def callers_by_unit(run: Run) -> Mapping[str, Sequence[Operation]]:
    """The operations that were sent under an id which others use too, by that id."""
    callers: dict[str, list[Operation]] = defaultdict(list)
    for history in run.histories:
        for operation in history.operations:
            if operation.shared_unit is not None or operation.outcome == "already":
                callers[operation.unit].append(operation)
    return callers


def sent_by_several(run: Run) -> int:
    """How many units several callers sent."""
    return sum(len(callers) > 1 for callers in callers_by_unit(run).values())


def need_several(run: Run) -> Iterator[Gap]:
    """Two callers of one unit, where the load was long enough for them to meet."""
    settings = run.info.settings
    slots = ROUNDS_MIN * int(str(settings.get(SHARED_EVERY) or 0))
    workers = int(str(settings.get("workers") or 1))
    begun = [len(history.operations) for history in run.histories]
    if slots and min(begun, default=0) >= slots * workers and not sent_by_several(run):
        yield Gap(what="no unit of work was sent by two sites", part="history-*.jsonl")


def check(run: Run) -> list[Finding]:
    """One finding for what is proved, one for what a missing history could explain, one for what
    the scenario allows to be lost."""
    units = callers_by_unit(run)
    holders = _holders(run, units)
    nodes = {read.node for read in run.final_reads if read.error is None}
    has_last_word = authority(run) is not None
    whole = not any(True for _ in needs.histories(run))
    allowed = run.info.scenario.expect.lost_max
    lost = lost_operations(run)
    may_be_lost = lost is not None and len(lost) <= allowed and allowed > 0
    found: dict[Verdict, list[tuple[str, str]]] = defaultdict(list)
    excused = given_up_ids(run)
    for unit, callers in units.items():
        if any(caller.id in excused for caller in callers):
            continue  # a restore may have taken it, and another caller may have applied it anew
        entries = {caller.id: holders.get(caller.id, frozenset()) for caller in callers}
        for wrong in _wrongs(callers, entries, nodes if has_last_word else set()):
            verdict = Verdict.INVALID
            if wrong.is_loss and may_be_lost:
                verdict = Verdict.VALID
            elif not wrong.is_proved and not whole:
                verdict = Verdict.UNKNOWN
            found[verdict].append((unit, wrong.words))
    return [
        _finding(verdict, found[verdict], units, holders) for verdict in sorted(found, reverse=True)
    ]


def _wrongs(
    callers: Sequence[Operation], entries: Mapping[str, frozenset[str]], nodes: set[str]
) -> Iterator[_Wrong]:
    """Everything that is wrong with a unit.

    Args:
        callers: Those on record.
        entries: Caller to the nodes that hold its entry.
        nodes: Those that must hold what was applied; empty where no node has the last word.
    """
    applied = [caller for caller in callers if caller.outcome == "ok"]
    there = [caller for caller in callers if entries[caller.id]]
    if len(applied) > 1:
        words = f"{counted(len(applied), 'caller')} were told Applied"
        yield _Wrong(words=words, is_loss=len(there) < 2)
    if len(there) > 1:
        yield _Wrong(words=f"the entries of {counted(len(there), 'caller')} are there")
    for caller in callers:
        if caller.outcome == "already" and entries[caller.id]:
            words = f"{caller.id} was told AlreadyApplied, and its entry is there"
            yield _Wrong(words=words)
        missing = sorted(nodes - entries[caller.id])
        if caller.outcome == "ok" and missing:
            words = f"{caller.id} was told Applied, and its entry is not on {', '.join(missing)}"
            yield _Wrong(words=words, is_loss=True)
    told_already = any(caller.outcome == "already" for caller in callers)
    if nodes and told_already and not applied and not there:
        words = "AlreadyApplied was told, and no caller's entry is there"
        yield _Wrong(words=words, is_loss=True, is_proved=False)


def _holders(run: Run, units: Mapping[str, Sequence[Operation]]) -> Mapping[str, frozenset[str]]:
    """Caller to the nodes that hold its entry."""
    wanted = {caller.id for callers in units.values() for caller in callers}
    holders: dict[str, set[str]] = defaultdict(set)
    for read in run.final_reads:
        for row in read.rows:
            if row.id in wanted:
                holders[row.id].add(read.node)
    return {id_: frozenset(nodes) for id_, nodes in holders.items()}


def _finding(
    verdict: Verdict,
    wrongs: Sequence[tuple[str, str]],
    units: Mapping[str, Sequence[Operation]],
    holders: Mapping[str, frozenset[str]],
) -> Finding:
    """One row a caller of a unit with which something is wrong."""
    words: dict[str, list[str]] = defaultdict(list)
    for unit, what in wrongs:
        words[unit].append(what)
    first = next(iter(words))
    return Finding(
        kind=SHARED_UNIT,
        verdict=verdict,
        summary=f"{counted(len(words), 'unit')} of work that several callers sent "
        f"{'was' if len(words) == 1 else 'were'} not applied exactly once. First {first}: "
        f"{words[first][0]}.",
        evidence=tuple(
            _evidence(caller, holders.get(caller.id, frozenset()), "; ".join(words[unit]))
            for unit in words
            for caller in units[unit]
        ),
    )


def _evidence(caller: Operation, nodes: frozenset[str], wrong: str) -> dict[str, Scalar]:
    return {
        "unit": caller.unit,
        "id": caller.id,
        "site": caller.site,
        "told": _TOLD[caller.outcome],
        "node": caller.node,
        "timeline": caller.timeline,
        "resolved": caller.resolved,
        "invoked_s": caller.invoked_s,
        "ended_s": caller.ended_s,
        "entry_on": ", ".join(sorted(nodes)) or None,
        "wrong": wrong,
    }


_TOLD = {"ok": "Applied", "already": "AlreadyApplied", "fail": "not applied", "info": "nothing"}


CHECKER = Checker(
    name="shared-units",
    question="Of all callers of one unit of work one was told Applied, and its entry is there.",
    check=check,
    finds=(SHARED_UNIT,),
    needs=(needs.histories, needs.final_reads, needs.one_primary, need_several),
    workloads=tuple(key for key, kind in WORKLOADS.items() if kind.shares_units),
    is_asked=is_asked,
)
