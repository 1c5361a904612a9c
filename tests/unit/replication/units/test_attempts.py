"""Over all callers of one id, one at most is told that he applied it, and his value is there.

A model of the protocol of ``id_row``: the callers' decisions are the real ones (``Unit``,
``whose``); the cluster is a list of commits of which a failover keeps some. Hypothesis interleaves
callers of this version and of earlier ones, lost and late COMMITs, lost answers, crashes and
failovers.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from replication.units.durability import plan
from replication.units.id_row import Answer, RowState, WalEvidence, whose
from replication.units.unit import Attempt, Transaction, Unit

EVIDENCE = WalEvidence(timeline=1, lsn="0/1", synchronous=True)
CALLERS = 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """An id row; ``value`` is what its transaction left in the application's tables."""

    number: int
    state: RowState
    key: UUID | None = None
    value: str | None = None


@dataclass(kw_only=True)
class Open:
    """A transaction in flight: it has written its row, and holds the number."""

    era: int
    row: Row
    is_commit_sent: bool = False


@dataclass
class Cluster:
    """The commits of the present primary, in order; None is one that only counts a question.

    The first ``safe`` of them are on a standby: every primary to come has them.
    """

    commits: list[Row | None] = field(default_factory=list)
    safe: int = 0
    era: int = 0
    in_flight: list[Open] = field(default_factory=list)

    def row(self, number: int) -> Row | None:
        return next((row for row in self.commits if row and row.number == number), None)

    def applied(self) -> list[Row]:
        return [row for row in self.commits if row and row.state == "applied"]

    def is_held(self, number: int) -> bool:
        return any(open_.row.number == number for open_ in self.in_flight)

    def insert(self, row: Row) -> Open:
        self.in_flight.append(open_ := Open(era=self.era, row=row))
        return open_

    def commit(self, open_: Open) -> int:
        """The number of commits up to and including this one."""
        self.in_flight.remove(open_)
        self.commits.append(open_.row)
        return len(self.commits)

    def resolve(self, number: int) -> tuple[Answer, int]:
        found = self.row(number)
        self.commits.append(None if found else Row(number=number, state="void"))
        row = found or Row(number=number, state="void")
        return Answer(state=row.state, is_new=not found, attempt_key=row.key), len(self.commits)

    def fail_over(self, kept: int) -> None:
        """The new primary has ``kept`` commits; nobody speaks to the old one any more."""
        self.era += 1
        self.in_flight.clear()
        del self.commits[max(self.safe, kept) :]


async def _nothing(_: Transaction) -> None:
    """The model does not call it."""


@dataclass
class Caller:
    """One call of ``Storage.run``."""

    name: str
    is_old: bool
    unit: Unit[None]
    end: Literal["applied", "already applied", "crashed"] | None = None
    value: str | None = None
    """Of the attempt that was called applied."""
    drawn: int = 0
    open: Open | None = None
    waits_for: tuple[int, int] | None = None
    """The era and the number of commits that must be safe before the answer comes."""
    answer: Answer | None = None

    def step(self, cluster: Cluster) -> None:
        """What it does next, if it need not wait."""
        if self.end is not None:
            return
        if self.waits_for is not None:
            era, count = self.waits_for
            if era == cluster.era and count <= cluster.safe:
                self.waits_for = None
                self._hear()
        elif self.open is not None:
            self._send_commit(cluster)
        elif not cluster.is_held(self.unit.row_attempt):
            if self.unit.must_ask:
                self.answer, count = cluster.resolve(self.unit.row_attempt)
                self.waits_for = (cluster.era, count)
            else:
                self._begin(cluster)

    def _begin(self, cluster: Cluster) -> None:
        if cluster.row(self.unit.row_attempt) is not None:
            self.unit.id_taken = True
            return
        self.drawn += 1
        self.value = f"{self.name}{self.drawn}"
        key = None if self.is_old else uuid.uuid5(uuid.NAMESPACE_OID, self.value)
        row = Row(number=self.unit.row_attempt, state="applied", key=key, value=self.value)
        self.open = cluster.insert(row)

    def _send_commit(self, cluster: Cluster) -> None:
        """It may arrive at once, late, or never: see ``arrive`` and ``drop``."""
        assert self.open is not None
        self.open.is_commit_sent = True
        key = self.open.row.key or UUID(int=0)
        attempt = Attempt(
            value=None, key=key, node="db", evidence=EVIDENCE, begun_s=0.0, sent_s=0.0
        )
        self.unit.doubt = attempt
        self.waits_for = (self.open.era, len(cluster.commits) + 1_000_000)  # until it arrives

    def arrived(self, count: int) -> None:
        assert self.open is not None
        self.waits_for = (self.open.era, count)

    def _hear(self) -> None:
        if self.answer is None:  # COMMIT was answered
            self.end = "applied"
            return
        answer, self.answer = self.answer, None
        if self.is_old:
            judged = "ours" if self.unit.doubt is not None else "another's"
            judged = judged if answer.state == "applied" else "nobody's"
        else:
            judged = whose(answer, self.unit.attempt_key)
        if judged == "nobody's":
            self.unit.next_attempt()
        else:
            self.end = "applied" if judged == "ours" else "already applied"

    def disconnect(self) -> None:
        """The line is cut: what was asked is asked again, what was sent is in doubt."""
        self.open = self.waits_for = self.answer = None


def caller(n: int, *, is_old: bool = False) -> Caller:
    unit = Unit(id="x", fn=_nothing, plan=plan("quorum"), started_s=0.0)
    return Caller(name="abcdefgh"[n], is_old=is_old, unit=unit)


def arrive(cluster: Cluster, callers: list[Caller], open_: Open) -> None:
    """A COMMIT that was sent reaches the server, whether or not its caller still listens."""
    count = cluster.commit(open_)
    for one in callers:
        if one.open is open_:
            one.arrived(count)


def check(cluster: Cluster, callers: list[Caller]) -> None:
    """What must hold at any time, for callers of this version."""
    assert len(cluster.applied()) <= 1
    safe = [row for row in cluster.commits[: cluster.safe] if row and row.state == "applied"]
    ours = [one for one in callers if one.end == "applied" and not one.is_old]
    assert len(ours) <= 1
    assert all([row.value for row in safe] == [one.value] for one in ours)
    assert safe or not any(one.end == "already applied" for one in callers)


def drain(cluster: Cluster, callers: list[Caller]) -> None:
    """Nothing is disturbed any more: everybody comes to an end."""
    for _ in range(20 * len(callers)):
        for open_ in list(cluster.in_flight):
            if open_.is_commit_sent:
                arrive(cluster, callers, open_)
            elif not any(one.open is open_ for one in callers):
                cluster.in_flight.remove(open_)
        cluster.safe = len(cluster.commits)
        for one in callers:
            if one.open is not None and one.open.era != cluster.era:
                one.disconnect()
            if one.waits_for is not None and one.waits_for[0] != cluster.era:
                one.disconnect()
            one.step(cluster)
    assert all(one.end is not None for one in callers)


class Protocol(RuleBasedStateMachine):
    """Any number of steps, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.callers = [caller(n, is_old=n == CALLERS - 1) for n in range(CALLERS)]

    @rule(n=st.integers(0, CALLERS - 1), steps=st.integers(1, 3))
    def step(self, n: int, steps: int) -> None:
        for _ in range(steps):
            self.callers[n].step(self.cluster)

    @rule(n=st.integers(0, CALLERS - 1))
    def disconnect(self, n: int) -> None:
        if self.callers[n].end is None:
            self.callers[n].disconnect()

    @rule(n=st.integers(0, CALLERS - 1))
    def crash(self, n: int) -> None:
        if self.callers[n].end is None:
            self.callers[n].disconnect()
            self.callers[n].end = "crashed"

    @precondition(lambda self: self.cluster.in_flight)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        open_ = data.draw(st.sampled_from(self.cluster.in_flight))
        if open_.is_commit_sent:
            arrive(self.cluster, self.callers, open_)

    @precondition(lambda self: self.cluster.in_flight)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """The server notices that a client is gone."""
        open_ = data.draw(st.sampled_from(self.cluster.in_flight))
        if not any(one.open is open_ for one in self.callers):
            self.cluster.in_flight.remove(open_)

    @rule(count=st.integers(0, 5))
    def replicate(self, count: int) -> None:
        self.cluster.safe = min(self.cluster.safe + count, len(self.cluster.commits))

    @rule(more=st.integers(0, 3))
    def fail_over(self, more: int) -> None:
        self.cluster.fail_over(self.cluster.safe + more)
        for one in self.callers:
            if one.end is None:
                one.disconnect()

    @invariant()
    def holds(self) -> None:
        check(self.cluster, self.callers)

    def teardown(self) -> None:
        drain(self.cluster, self.callers)
        check(self.cluster, self.callers)
        if self.cluster.applied():
            (row,) = self.cluster.applied()
            owner = next(one for one in self.callers if one.name == (row.value or "")[0])
            assert owner.end in ("applied", "crashed")
        else:
            assert all(one.end == "crashed" for one in self.callers)


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)


def test_a_commit_that_was_lost_and_whose_number_another_caller_took() -> None:
    """The story of the bug: five were told ``Applied`` for four rows."""
    cluster, callers = Cluster(), [caller(0), caller(1)]
    a, b = callers
    a.step(cluster)
    a.step(cluster)
    arrive(cluster, callers, cluster.in_flight[0])  # on the primary's disk, on no standby's
    cluster.fail_over(0)
    a.disconnect()
    for _ in range(2):
        b.step(cluster)
    arrive(cluster, callers, cluster.in_flight[0])
    cluster.safe = 1
    b.step(cluster)
    assert (b.end, cluster.applied()[0].value) == ("applied", "b1")
    drain(cluster, callers)
    assert a.end == "already applied"
    check(cluster, callers)
