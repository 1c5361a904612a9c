"""Set: whether what was added appears and stays on every member, and how late it appears.

A read looks at the elements after its watermark. Of those it must have

- with a causal token, what ``causal.py`` says;
- what was acknowledged before it began and an earlier read of the same member had: a member does
  not go back in time;
- nothing twice, and nothing whose addition had failed.

Without a token it may be late, and how late is told of each member: for how long an element had
been acknowledged that a read still lacked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.records import Operation
from chaos.evidence.run import Run
from chaos.findings import Evidence, Finding, FindingKind
from chaos.wording import counted
from chaos.workloads.answers import finding_of_reads, is_nothing_promised, read_evidence
from chaos.workloads.causal import MISSED_WRITE, missed, must_see, proof_of_miss
from chaos.workloads.native import reads_of, units_of

WRONG_ELEMENTS = FindingKind(
    word="wrong-elements",
    meaning="INVALID: reads of one member had an acknowledged element and later lacked it, had one "
    "twice, or had one whose addition had failed. VALID: after a failover with commits that wait "
    "for no replica.",
    heading="Reads of a set that its additions do not explain",
    proved="elements of a set vanished, were doubled or came from nowhere",
    undecided="it is not known whether the elements of the set stayed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLook:
    """One read: where it looked, and what it saw."""

    read: Operation
    above: int
    """The place after which it looked."""
    seen: Mapping[int, int]
    """How often each element was there."""


class SetHistory:
    """The additions of a run, and its reads in the order in which they began."""

    def __init__(self, run: Run) -> None:
        self.units = {one.id: one for one in units_of(run)}
        self.looks = [_look(one) for one in sorted(reads_of(run), key=lambda one: one.begin_s)]
        self._by_seq = sorted(
            (
                (int(str(one.result["seq"])), one)
                for one in self.units.values()
                if one.outcome == "ok" and "seq" in one.result
            ),
            key=lambda added: added[0],
        )
        self._seqs = [seq for seq, _ in self._by_seq]

    def lacking(self, look: SetLook) -> Iterator[tuple[int, Operation]]:
        """The acknowledged elements after a read's watermark that it does not have."""
        for _, unit in self._by_seq[bisect_right(self._seqs, look.above) :]:
            element = element_of(unit)
            if element not in look.seen:
                yield element, unit


def element_of(unit: Operation) -> int:
    """What an operation adds."""
    return int(str(unit.work["element"]))


def check(run: Run) -> list[Finding]:
    """One finding for each way in which reads were wrong, then one for causal reads."""
    history = SetHistory(run)
    forgiven = is_nothing_promised(run)
    findings = [
        finding_of_reads(words, proofs, kind=WRONG_ELEMENTS, of="element", forgiven=forgiven)
        for words, proofs in (
            ("lacked an element that an earlier read of the member had", _vanished(history)),
            ("had an element more than once", _doubled(history)),
            ("had an element whose addition had failed, or that nobody added", _phantoms(history)),
        )
        if proofs
    ]
    return [*findings, *missed(list(_missed(history)), kind=MISSED_WRITE, forgiven=forgiven)]


def staleness(run: Run) -> tuple[str, ...]:
    """How late each member was, in a sentence a member."""
    history = SetHistory(run)
    late_s: dict[str, list[float]] = defaultdict(list)
    for look in history.looks:
        began_s = look.read.begin_s
        waits = [began_s - unit.end_s for _, unit in history.lacking(look) if unit.end_s < began_s]
        late_s[look.read.node or "?"].append(max(waits, default=0.0))
    return tuple(
        f"{node}: {counted(len(waits), 'read')}, {sum(one > 0 for one in waits):,} of them late, "
        f"by {max(waits):.3f} s at the most."
        for node, waits in sorted(late_s.items())
    )


def _look(read: Operation) -> SetLook:
    text = str(read.result["elements"])
    return SetLook(
        read=read,
        above=int(str(read.work["above"])),
        seen=Counter(map(int, text.split(","))) if text else {},
    )


def _missed(history: SetHistory) -> Iterator[Evidence]:
    for look in history.looks:
        asked = history.units.get(look.read.after or "")
        if asked is None:
            continue
        for element, unit in history.lacking(look):
            if must_see(asked, unit):
                yield proof_of_miss(look.read, unit, element=element)
                break


def _vanished(history: SetHistory) -> list[Evidence]:
    """Reads that lack what a read of the same member had which had ended before they began."""
    first_seen: dict[tuple[str | None, int], Operation] = {}
    proofs: list[Evidence] = []
    for look in history.looks:
        read = look.read
        for element, unit in history.lacking(look):
            before = first_seen.get((read.node, element))
            if before is None or before.end_s > read.begin_s or unit.end_s > read.begin_s:
                continue
            proofs.append(
                read_evidence(look.read, element=element, seen_by=before.id, added_by=unit.id)
            )
        for element in look.seen:
            known = first_seen.get((read.node, element))
            if known is None or read.end_s < known.end_s:
                first_seen[read.node, element] = read
    return proofs


def _doubled(history: SetHistory) -> list[Evidence]:
    return [
        read_evidence(look.read, element=element, times=times)
        for look in history.looks
        for element, times in look.seen.items()
        if times > 1
    ]


def _phantoms(history: SetHistory) -> list[Evidence]:
    tried = {element_of(unit) for unit in history.units.values() if unit.outcome != "fail"}
    return [
        read_evidence(look.read, element=element)
        for look in history.looks
        for element in look.seen
        if element not in tried
    ]


CHECKER = Checker(
    name="elements",
    question="What was added to the set appeared and stayed on every member.",
    check=check,
    proves=staleness,
    finds=(WRONG_ELEMENTS, MISSED_WRITE),
    needs=(needs.histories, needs.final_reads),
    workloads=("set",),
)
