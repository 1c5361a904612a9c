"""A member is believed no longer than its leader key lives, whatever its own clock says."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import pytest

from replication.patroni.answers import RestAnswer, read_answer, read_ttl_s
from replication.patroni.members import Member
from replication.primary.watch import Watch
from replication.reads.leases import DcsContact, may_hold, next_contact
from replication.reads.promises import Demand, Promises, Search, Unfit
from replication.reads.staleness import Sample, staleness_s

PARIS = Member(name="db-paris", rest_url="http://paris", host="paris", port=5432)
BODY = b'{"state": "running", "role": "primary", "timeline": 3, "xlog": {"location": 100}%s}'


def answer(seen: float | None, asked_s: float) -> RestAnswer:
    return RestAnswer(status=200, timeline=3, lsn_bytes=100, dcs_seen=seen, asked_s=asked_s)


def test_contact_is_when_the_mark_was_first_heard() -> None:
    first = next_contact(None, answer(700.0, 10.0))
    assert first == DcsContact(seen=700.0, asked_s=10.0)
    assert next_contact(first, answer(700.0, 12.0)) == first
    assert next_contact(first, RestAnswer(asked_s=14.0)) == first, "silence says nothing"
    # The clock was set back by an hour, and the member has looked again: that is a contact.
    assert next_contact(first, answer(-2900.0, 16.0)) == DcsContact(seen=-2900.0, asked_s=16.0)
    assert next_contact(first, answer(None, 18.0)) is None


def test_a_key_lives_for_its_ttl() -> None:
    assert may_hold(100.0, at_s=120.0, ttl_s=20.0)
    assert not may_hold(100.0, at_s=120.1, ttl_s=20.0)
    assert may_hold(None, at_s=120.1, ttl_s=20.0)


def test_samples_of_an_old_primary_bound_nothing() -> None:
    """In a cut-off site: the replica streams from a primary that sleeps since its clock jumped."""

    def sample(asked_s: float) -> Sample:
        return Sample(node="db-paris", asked_s=asked_s, timeline=3, lsn_bytes=100, contact_s=50.0)

    samples = [sample(60.0), sample(70.0), sample(71.0), sample(99.0)]
    bound = {"timeline": 3, "replayed_bytes": 100, "now_s": 100.0}
    assert staleness_s(samples, **bound, ttl_s=20.0) == 30.0  # type: ignore[arg-type]
    assert staleness_s(samples, **bound, ttl_s=30.0) == 29.0  # type: ignore[arg-type]
    assert staleness_s(samples[-1:], **bound, ttl_s=20.0) is None  # type: ignore[arg-type]


def test_patroni_says_when_it_saw_the_dcs_and_how_long_a_key_lives() -> None:
    assert read_answer(200, BODY % b', "dcs_last_seen": 1700000000').dcs_seen == 1700000000
    assert read_answer(200, BODY % b"").dcs_seen is None
    for alone in (b'"pause": true', b'"failsafe_mode_is_active": true'):
        said = BODY % (b', "dcs_last_seen": 1700000000, ' + alone)
        assert read_answer(200, said).dcs_seen is None
    assert read_ttl_s(b'{"ttl": 30, "loop_wait": 10}') == 30.0
    for body in (b'{"ttl": "30"}', b'{"ttl": true}', b"{}", b"[]", b"?"):
        assert read_ttl_s(body) is None


@dataclass
class FakeRest:
    """Says what ``ttl`` is."""

    ttl: float | None
    asked: list[str] = field(default_factory=list)

    async def ttl_s(self, member: Member) -> float | None:
        self.asked.append(member.name)
        return self.ttl


@dataclass
class FakeSession:
    """To the primary, which is asked nothing."""

    node: str = "db-paris"


def bound_of(rest: FakeRest, *, contact_s: float, asked_s: float) -> float:
    """The bound that the primary gives at 100 s; Unfit: none."""

    async def check() -> float:
        async def ask(member: Member) -> RestAnswer:
            return answer(700.0, asked_s)

        watch = Watch([PARIS], ask, clock=lambda: 100.0)
        watch.primary = PARIS
        watch.view["db-paris"] = answer(700.0, asked_s)
        watch.contacts["db-paris"] = DcsContact(seen=700.0, asked_s=contact_s)
        promises = Promises(watch, rest, lambda: 100.0)  # type: ignore[arg-type]
        search = Search(begun_s=100.0, clock=lambda: 100.0)
        found = await promises.check(
            FakeSession(),  # type: ignore[arg-type]
            Demand(max_staleness_s=5.0),
            search,
            None,  # type: ignore[arg-type]
            is_primary=True,
        )
        assert found is not None
        return found

    return anyio.run(check)


def test_the_primary_is_believed_for_the_shortest_ttl_without_a_question() -> None:
    rest = FakeRest(30.0)
    assert bound_of(rest, contact_s=81.0, asked_s=99.0) == 1.0
    assert rest.asked == []


def test_beyond_that_its_own_ttl_decides() -> None:
    rest = FakeRest(30.0)
    assert bound_of(rest, contact_s=75.0, asked_s=99.0) == 1.0
    assert rest.asked == ["db-paris"]
    for ttl in (None, 20.0, 24.0):
        with pytest.raises(Unfit, match="by an unknown time"):
            bound_of(FakeRest(ttl), contact_s=74.0, asked_s=99.0)
