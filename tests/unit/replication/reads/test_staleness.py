"""In which order members are tried for a read, and how stale each may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replication.patroni.answers import RestAnswer, read_answer
from replication.patroni.members import Member
from replication.reads.staleness import Sample, known_until_s, order_members, staleness_s

REPLICA = RestAnswer(status=503, timeline=1, streams=True, elapsed_s=0.01)
BEFORE, AFTER = 40.0, 50.0
"""When a primary of timeline 1 was asked, and now."""


def member(name: str, site: str) -> Member:
    return Member(name=name, rest_url="http://127.0.0.1:1", host="127.0.0.1", port=1, site=site)


MEMBERS = [member("a", "paris"), member("b", "orsay"), member("c", "orsay"), member("d", "paris")]
VIEW = {
    "a": RestAnswer(status=200, timeline=1),
    "b": REPLICA,
    "c": replace(REPLICA, elapsed_s=0.02),
    "d": REPLICA,
}


def order(
    *, timeline: int = 1, primary: str | None = "a", last: str | None = None, **changed: RestAnswer
) -> list[str]:
    return order_members(
        MEMBERS,
        {**VIEW, **changed},
        primary=primary,
        timeline=timeline,
        prefer_site="orsay",
        last=last,
    )


def bound_s(
    samples: list[Sample], proven: dict[int, float], *, timeline: int, replayed_bytes: int
) -> float | None:
    return staleness_s(
        samples, proven=proven, timeline=timeline, replayed_bytes=replayed_bytes, now_s=AFTER
    )


def test_own_site_comes_first_then_who_streams_and_the_quickest_and_the_primary_last() -> None:
    assert order() == ["b", "c", "d", "a"]
    assert order(b=replace(REPLICA, streams=False)) == ["c", "b", "d", "a"]
    gone = {"a": RestAnswer(), "b": RestAnswer()}
    assert order(c=replace(REPLICA, timeline=2), primary=None, **gone) == ["d"]


def test_a_member_tagged_noloadbalance_serves_no_read_but_as_the_primary() -> None:
    tagged = replace(REPLICA, noloadbalance=True)
    assert order(b=tagged) == ["c", "d", "a"]
    assert order(b=tagged, c=tagged, d=tagged) == ["a"]
    assert order(a=replace(VIEW["a"], noloadbalance=True)) == ["b", "c", "d", "a"]


def test_large_reads_go_to_readers_and_stay_where_they_are() -> None:
    view = {**VIEW, "d": replace(REPLICA, is_reader=True)}

    def of_a_stream(last: str | None) -> list[str]:
        return order_members(
            MEMBERS,
            view,
            primary="a",
            timeline=1,
            prefer_site="orsay",
            prefer_readers=True,
            last=last,
        )

    assert of_a_stream(None) == ["d", "b", "c", "a"]
    assert of_a_stream("c") == ["c", "d", "b", "a"]
    assert of_a_stream("a") == ["d", "b", "c", "a"]  # the primary stays the last resort


@pytest.mark.parametrize(
    ("tags", "noloadbalance", "is_reader"),
    [
        (b"", False, False),
        (b', "tags": {"noloadbalance": true, "reader": true}', True, True),
        (b', "tags": {"noloadbalance": false, "reader": "yes"}', False, True),
        (b', "tags": {"reader": "no"}', False, False),
        (b', "tags": ["reader"]', False, False),
    ],
)
def test_the_tags_come_with_patronis_answer(
    tags: bytes, noloadbalance: bool, is_reader: bool
) -> None:
    answer = read_answer(503, b'{"state": "running"%s}' % tags)
    assert (answer.noloadbalance, answer.is_reader) == (noloadbalance, is_reader)


def test_a_primary_that_died_before_it_was_sampled_leaves_replicas_that_serve() -> None:
    """The double loss: it led timeline 2, acknowledged a write, and died within a second."""
    samples = [Sample(node="a", asked_s=BEFORE, timeline=1, lsn_bytes=100)]
    followed = {name: replace(REPLICA, timeline=2) for name in "bcd"}
    assert order(timeline=2, primary=None, a=RestAnswer(), **followed) == ["b", "c", "d"]
    bound = bound_s(samples, {1: AFTER}, timeline=2, replayed_bytes=90)
    assert bound == AFTER - BEFORE  # it is past the end of timeline 1, wherever that was


def test_of_a_replica_on_an_earlier_timeline_no_later_sample_says_anything() -> None:
    samples = [
        Sample(node="a", asked_s=BEFORE, timeline=1, lsn_bytes=100),
        Sample(node="b", asked_s=BEFORE + 5, timeline=2, lsn_bytes=100),
    ]
    proven = {1: AFTER, 2: AFTER}
    assert bound_s(samples, proven, timeline=1, replayed_bytes=200) == AFTER - BEFORE
    assert bound_s(samples, proven, timeline=1, replayed_bytes=99) is None
    assert bound_s(samples, proven, timeline=2, replayed_bytes=99) == AFTER - BEFORE
    assert bound_s(samples, proven, timeline=2, replayed_bytes=100) == 5.0
    assert order(timeline=2, primary=None) == []


def test_a_sample_counts_as_of_the_last_commit_that_was_acknowledged_on_its_timeline() -> None:
    samples = [
        Sample(node="a", asked_s=BEFORE, timeline=1, lsn_bytes=100),
        Sample(node="a", asked_s=AFTER, timeline=1, lsn_bytes=100),
    ]
    assert bound_s(samples, {}, timeline=1, replayed_bytes=100) is None
    assert bound_s(samples, {1: BEFORE + 3}, timeline=1, replayed_bytes=100) == 7.0
    assert bound_s(samples, {1: AFTER + 3}, timeline=1, replayed_bytes=100) == 0.0
    later = [Sample(node="b", asked_s=AFTER, timeline=2, lsn_bytes=100)]
    of_timeline_1_alone = {1: AFTER}  # nothing was acknowledged on 2 yet
    assert bound_s(later, of_timeline_1_alone, timeline=2, replayed_bytes=100) is None
    assert known_until_s(AFTER, timeline=None, proven={1: AFTER}) is None
