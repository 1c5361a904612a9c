"""Reads that broke their promise: what they had to see was acknowledged before, and they saw less.

Each site counts a mark up, and every read looks at all marks (``chaos/load/reads.py``). What a read
must see follows from what the storage layer promises for it
(docs/decisions/0009-reads-and-staleness.md):

==============  =============================================================================
``own-write``   the own mark that its token stands for
``bounded``     every mark, of all sites, that was acknowledged longer ago than the bound; and the
                answer's own age is within the bound
``any``         the same, with the age that the answer gave itself
``primary``     every mark of its own site that was acknowledged before it
==============  =============================================================================

A read on the primary promises nothing about what *other* processes had acknowledged: for a moment a
server may believe that it is still the primary. Such reads are counted (``behind``), and no
finding; whoever must not have them asks for a bound, which the age of the leader's lock is held
against.

No clock of a server, and no allowance, is in this: a mark is acknowledged later than it is
committed, and a read begins earlier than its snapshot is taken, both on the one clock of the load
processes. So what is missing is missing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.events import TimelineEnded
from chaos.evidence.reads import MarkRead, MarkWrite
from chaos.evidence.records import Operation, Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.timing.hands import hand_steps
from chaos.timing.measure import surviving_timeline
from chaos.timing.settings import commits_wait_for_standby
from chaos.wording import counted
from replication.wire.wal import format_lsn

STALE_READ = FindingKind(
    word="stale-read",
    meaning="INVALID: a read did not see what it was promised: the write of its token, something "
    "acknowledged longer ago than its bound, or on the primary an acknowledged write of its own "
    "site; or its token's write was told to be lost where nothing may be.",
    heading="Read that broke its promise",
    proved="reads did not see what they were promised",
    undecided="it is not known whether reads saw what they were promised",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A read that did not see a mark."""

    read: MarkRead
    mark: MarkWrite
    """The last one that it had to see."""
    seen: int
    """What it saw of that site; 0: no mark."""
    asked: str
    """What was promised, in words."""


def check(run: Run) -> list[Finding]:
    """One finding with every read that broke its promise, once for each mark that it missed."""
    proofs = [_proof(one) for one in stale_reads(run)]
    proofs += [_proof_of_age(read) for read in _too_old(run)]
    proofs += [_proof_of_loss(read) for read in _said_lost(run)]
    if not proofs:
        return []
    proofs.sort(key=lambda proof: float(str(proof["begin_s"])))
    first, number = proofs[0], count_reads(proofs)
    where = f"the first of {first['site']}, on {first['node']}"
    verb = "did not see what it was" if number == 1 else "did not see what they were"
    return [
        Finding(
            kind=STALE_READ,
            verdict=Verdict.INVALID,
            summary=f"{counted(number, 'read')} {verb} promised; {where}.",
            evidence=tuple(proofs),
        )
    ]


def count_reads(proofs: Iterable[Mapping[str, Scalar]]) -> int:
    """How many reads the evidence of this checker is of."""
    return len({(proof["site"], proof["read"], proof["begin_s"]) for proof in proofs})


def stale_reads(run: Run) -> tuple[Missed, ...]:
    """Every read that did not see a mark which it was promised, once for each mark."""
    known = _Acknowledged(run)
    return tuple(missed for read in _answered(run) for missed in _missed(known, read))


def behind(run: Run) -> tuple[MarkRead, ...]:
    """Reads on the primary that did not see what other sites had acknowledged before: an old
    primary answered. Nothing is promised of that."""
    known = _Acknowledged(run)
    return tuple(
        read
        for read in _answered(run)
        if read.kind == "primary"
        and any(
            read.seen.get(site, 0) < mark.n
            for site in known.sites
            if site != read.site and (mark := known.before(site, read.begin_s))
        )
    )


class _Acknowledged:
    """The marks that stay: by site, the last one that was acknowledged before a moment."""

    def __init__(self, run: Run) -> None:
        stays = _Stays(run)
        self._marks: dict[str, list[MarkWrite]] = {}
        for found in run.reads:
            marks = [mark for mark in found.marks if mark.outcome == "ok" and stays.is_sure(mark)]
            self._marks[found.site] = sorted(marks, key=lambda mark: mark.end_s)
        self._moments = {
            site: [mark.end_s for mark in marks] for site, marks in self._marks.items()
        }
        self._by_number = {
            (mark.site, mark.n): mark for marks in self._marks.values() for mark in marks
        }

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that have marks."""
        return tuple(self._marks)

    def before(self, site: str, at_s: float) -> MarkWrite | None:
        """The last one of a site that was acknowledged by ``at_s``; None: none was."""
        index = bisect_right(self._moments[site], at_s)
        return self._marks[site][index - 1] if index else None

    def of(self, site: str, n: int) -> MarkWrite | None:
        """The mark ``n`` of a site, if it stays."""
        return self._by_number.get((site, n))


class _Stays:
    """Whether an acknowledged mark stays for good.

    Where the scenario allows a loss, or commits wait for no replica, a failover may take one away,
    and no read has to see it. That one stayed is proved by a later operation on the same timeline
    whose position lies before the end of that timeline: it began after the mark was acknowledged,
    so the mark's commit lies before it.
    """

    def __init__(self, run: Run) -> None:
        self._may_lose = may_lose(run)
        self._final = surviving_timeline(run)
        self._sure_until_s: dict[int, float] = {}
        """By timeline that ended: marks that were acknowledged by then are part of what follows."""
        if not self._may_lose:
            return
        ends = {end.timeline: end.lsn for end in run.events_of(TimelineEnded)}
        for timeline, lsn, attempt_s in _placed(run):
            if timeline in ends and lsn < ends[timeline]:
                known_s = self._sure_until_s.get(timeline, -math.inf)
                self._sure_until_s[timeline] = max(known_s, attempt_s)

    def is_sure(self, mark: MarkWrite) -> bool:
        """It stays, or nothing may be lost."""
        if not self._may_lose or (self._final is not None and mark.timeline == self._final):
            return True
        if mark.timeline is None:
            return False
        return mark.end_s <= self._sure_until_s.get(mark.timeline, -math.inf)


def may_lose(run: Run) -> bool:
    """Whether acknowledged writes may be lost: by the scenario, by the settings in force, because
    the cluster was restored to a point in time, or since people have promoted a copy that commits
    do not wait for. The loss itself is found all the same (``lost``)."""
    allowed = run.info.scenario.expect.lost_max > 0 or bool(run.rebuilds) or bool(hand_steps(run))
    return allowed or not commits_wait_for_standby(run)


def _placed(run: Run) -> Iterator[tuple[int, int, float]]:
    """Timeline, position and begin of every acknowledged write of which they are known."""
    written: list[Operation | MarkWrite] = [
        *(operation for history in run.histories for operation in history.operations),
        *(mark for found in run.reads for mark in found.marks),
    ]
    for one in written:
        if (
            one.outcome == "ok"
            and one.timeline is not None
            and one.lsn is not None
            and one.attempt_s is not None
        ):
            yield one.timeline, one.lsn, one.attempt_s


def _answered(run: Run) -> Iterator[MarkRead]:
    return (read for found in run.reads for read in found.reads if read.outcome == "ok")


def _missed(known: _Acknowledged, read: MarkRead) -> Iterator[Missed]:
    """What a read was promised and did not see."""
    for mark, asked in _promised(known, read):
        seen = read.seen.get(mark.site, 0)
        if seen < mark.n:
            yield Missed(read=read, mark=mark, seen=seen, asked=asked)


def _promised(known: _Acknowledged, read: MarkRead) -> Iterator[tuple[MarkWrite, str]]:
    """The last mark of each site that a read had to see, and why."""
    if read.kind == "own-write":
        mark = None if read.after is None else known.of(read.site, read.after)
        if mark is not None:
            yield mark, f"at least its own mark {mark.n}"
    elif read.kind == "primary":
        mark = known.before(read.site, read.begin_s)
        if mark is not None:
            yield mark, "on the primary, at least its own marks"
    elif read.age_s is not None:
        for site in known.sites:
            mark = known.before(site, read.begin_s - read.age_s)
            if mark is not None:
                yield mark, f"everything older than {read.age_s:.3f} s, as it was answered"


def _too_old(run: Run) -> Iterator[MarkRead]:
    """Reads that were answered with older data than was asked for, or of an unknown age."""
    for read in _answered(run):
        if read.bound_s is not None and (read.age_s is None or read.age_s > read.bound_s):
            yield read


def _said_lost(run: Run) -> Iterator[MarkRead]:
    """Reads that were told that the write of their token is lost, though it stays."""
    known = _Acknowledged(run)
    lost = [read for found in run.reads for read in found.reads if read.outcome == "lost"]
    for read in lost:
        if read.after is not None and known.of(read.site, read.after) is not None:
            yield read


def _proof(missed: Missed) -> dict[str, Scalar]:
    read, mark = missed.read, missed.mark
    return {
        **_of_read(read),
        "asked": missed.asked,
        "mark_of": mark.site,
        "seen": missed.seen,
        "expected": mark.n,
        "acknowledged_s": mark.end_s,
        "timeline": mark.timeline,
        "lsn": None if mark.lsn is None else format_lsn(mark.lsn),
    }


def _proof_of_age(read: MarkRead) -> dict[str, Scalar]:
    return {**_of_read(read), "asked": f"nothing older than {read.bound_s:g} s"}


def _proof_of_loss(read: MarkRead) -> dict[str, Scalar]:
    return {**_of_read(read), "asked": f"at least its own mark {read.after}", "error": read.error}


def _of_read(read: MarkRead) -> dict[str, Scalar]:
    return {
        "site": read.site,
        "read": read.kind,
        "node": read.node,
        "source": read.source,
        "begin_s": read.begin_s,
        "ended_s": read.end_s,
        "age_s": read.age_s,
    }


CHECKER = Checker(
    name="stale-reads",
    question="Every read saw what it was promised.",
    check=check,
    finds=(STALE_READ,),
    needs=(needs.reads,),
    is_asked=lambda run: run.has_reads,
)
