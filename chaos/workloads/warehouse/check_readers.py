"""Whether large reads began on a dedicated reader where there was one.

A member that may lead should not be busy with a cohort when it has to. Judged is on which member
the stream of a cohort began, while a reader of the topology (tag ``reader``) was well: a stream
whose page failed goes on wherever it can, and stays there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import FaultHealed, FaultStruck, Phase, RoleSeen
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.faults.targets import find_victim
from chaos.findings import INCOMPLETE_EVIDENCE, Evidence, Finding, FindingKind, Verdict, invalid
from chaos.timing.load import phase_window
from cluster.topology.tags import NO_TAGS

READ_FROM_CANDIDATE = FindingKind(
    word="read-from-candidate",
    meaning="INVALID: a large read began on a member that may lead, while a member tagged "
    "``reader`` was there.",
    heading="Large read on a candidate",
    proved="large reads were taken from members that may lead",
    undecided="it is not known whether large reads kept off the members that may lead",
)

SETTLED_S = 10.0
"""For so long a reader must have been a replica, nothing in its way broken, and the load under way:
the storage layer asks members every second or two, and a replica that was away needs seconds to be
within its bound."""


def readers(run: Run) -> frozenset[str]:
    """The members that are there for reading."""
    return frozenset(name for name, tags in run.info.tags.items() if tags.reader)


def judged(run: Run) -> Iterator[tuple[Operation, str, str]]:
    """Every stream that began while a reader was well; the member it began on, and that reader."""
    for history in run.histories:
        for one in history.operations:
            first_s, begin_s = one.work.get("first_s"), one.work.get("begin_s")
            if one.work.get("op") != "cohort" or first_s is None or begin_s is None:
                continue
            begun_on = str(one.work.get("readers")).partition(", ")[0]
            for reader in sorted(readers(run)):
                if _is_well(run, reader, float(str(begin_s)) - SETTLED_S, float(str(first_s))):
                    yield one, begun_on, reader
                    break


def check(run: Run) -> list[Finding]:
    """One finding for all streams that began elsewhere; UNKNOWN where none can be judged."""
    streams = list(judged(run))
    if not streams:
        summary = "No large read began while a reader was well: nothing is known of where they go."
        return [Finding(kind=INCOMPLETE_EVIDENCE, verdict=Verdict.UNKNOWN, summary=summary)]
    return invalid(
        kind=READ_FROM_CANDIDATE,
        summary="Large reads began on members that may lead, while a reader was there: {n}.",
        evidence=(
            _proof(one, begun_on, reader)
            for one, begun_on, reader in streams
            if run.info.tags.get(begun_on, NO_TAGS).may_lead
        ),
    )


def _proof(one: Operation, begun_on: str, reader: str) -> Evidence:
    return {"id": one.id, "node": begun_on, "reader": reader, "begin_s": one.work.get("begin_s")}


def _is_well(run: Run, reader: str, from_s: float, to_s: float) -> bool:
    """It was a replica of whoever led last, all the time, and nothing was broken but hosts that are
    not in its way."""
    seen = [one for one in run.events_of(RoleSeen) if one.t_s <= to_s]
    source = run.info.tags[reader].replicatefrom
    own = _settled(seen, reader, from_s)
    if own is None or own.is_primary or (source and _settled(seen, source, from_s) is None):
        return False
    led = max((one.timeline or 0 for one in seen if one.is_primary), default=0)
    loaded = phase_window(run, Phase.STEADY)
    # One that has not followed a promotion yet is passed over, and so it must be.
    if (own.timeline or 0) < led or loaded is None or loaded.begin_s > from_s:
        return False
    return not any(
        begin_s <= to_s and end_s >= from_s and _is_in_the_way(run, struck, reader)
        for struck, begin_s, end_s in _broken(run)
    )


def _settled(seen: Sequence[RoleSeen], node: str, from_s: float) -> RoleSeen | None:
    """What the node was, if it was that since ``from_s``, and ran. A reader whose source comes back
    turns to it, and does not stream for a moment."""
    own = [one for one in seen if one.node == node]
    is_settled = bool(own) and own[-1].role in ("replica", "primary") and own[-1].t_s <= from_s
    return own[-1] if is_settled else None


def _broken(run: Run) -> Iterator[tuple[FaultStruck, float, float]]:
    for struck in run.events_of(FaultStruck):
        heals = [
            heal.t_s
            for heal in run.events_of(FaultHealed)
            if (heal.fault, heal.target) == (struck.fault, struck.target) and heal.t_s > struck.t_s
        ]
        yield struck, struck.t_s, min(heals, default=float("inf"))


def _is_in_the_way(run: Run, struck: FaultStruck, reader: str) -> bool:
    """Only of hosts that lost their power, and are neither the reader nor whom it streams from, it
    is sure that they are not."""
    if struck.fault != "host-power-cut" or struck.target is None:
        return True
    source = run.info.tags[reader].replicatefrom
    return bool({reader, source} & set(find_victim(struck.target, run.info.layout).hosts))


READERS = Checker(
    name="readers",
    question="Large reads went to the members that are there for it.",
    check=check,
    finds=(READ_FROM_CANDIDATE, INCOMPLETE_EVIDENCE),
    needs=(needs.histories,),
    workloads=("warehouse",),
    is_asked=lambda run: bool(readers(run)),
)
