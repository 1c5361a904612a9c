"""Who is the primary, decided from answers; no sockets."""

from __future__ import annotations

import pytest

from replication.patroni.answers import RestAnswer, read_answer
from replication.primary.watch import choose_primary

A, B, C = "db-a", "db-b", "db-c"
ALL = (A, B, C)
YES, NO, SILENT = (
    RestAnswer(status=200, timeline=1),
    RestAnswer(status=503, timeline=1),
    RestAnswer(),
)


def test_the_first_who_says_yes_is_it() -> None:
    assert choose_primary({B: YES}, members=ALL) == B


def test_without_a_yes_there_is_none() -> None:
    assert choose_primary({A: NO, B: NO, C: SILENT}, members=ALL) is None
    assert choose_primary({}, members=ALL) is None


def test_a_claim_of_an_older_timeline_is_out_of_date() -> None:
    assert choose_primary({A: YES}, members=ALL, timeline_min=2) is None
    newer = RestAnswer(status=200, timeline=2)
    assert choose_primary({A: YES, B: newer}, members=ALL, timeline_min=2) == B
    assert choose_primary({A: YES, B: newer}, members=ALL) == B


def test_an_answer_without_a_timeline_is_believed() -> None:
    assert choose_primary({A: RestAnswer(status=200)}, members=ALL, timeline_min=2) == A


def test_a_suspect_is_believed_once_all_others_were_heard() -> None:
    assert choose_primary({A: YES}, members=ALL, suspects={A}) is None
    assert choose_primary({A: YES, B: NO}, members=ALL, suspects={A}) is None
    assert choose_primary({A: YES, B: NO, C: SILENT}, members=ALL, suspects={A}) == A
    assert choose_primary({A: YES, B: YES}, members=ALL, suspects={A}) == B


@pytest.mark.parametrize(
    ("body", "timeline"),
    [(b'{"timeline": 7}', 7), (b'{"state": "starting"}', None), (b"", None), (b"[1]", None)],
)
def test_the_timeline_of_an_answer(body: bytes, timeline: int | None) -> None:
    assert read_answer(200, body).timeline == timeline


def test_a_primarys_answer() -> None:
    body = b"""{"state": "running", "role": "primary", "server_version": 180006, "timeline": 3,
        "xlog": {"location": 67419584}, "patroni": {"version": "4.1.5", "scope": "eds"}}"""
    answer = read_answer(200, body)
    assert answer == RestAnswer(status=200, timeline=3, lsn_bytes=67419584)
    assert answer.is_primary


def test_a_replicas_answer() -> None:
    body = b"""{"state": "running", "role": "replica", "timeline": 3, "replication_state":
        "streaming", "xlog": {"received_location": 67419600, "replayed_location": 67419584}}"""
    answer = read_answer(503, body)
    assert (answer.is_primary, answer.streams, answer.lsn_bytes) == (False, True, 67419584)


def test_who_holds_the_lock_and_replays_still_is_in_recovery() -> None:
    """Patroni answers 200 from the moment when it takes the lock (api.py, do_GET)."""
    replaying = b'{"state": "running", "role": "primary", "timeline": 1, "xlog": {%s}}'
    before = read_answer(200, replaying % b'"received_location": 90, "replayed_location": 70')
    after = read_answer(200, replaying % b'"location": 95')
    assert (before.is_primary, before.in_recovery, before.lsn_bytes) == (True, True, 70)
    assert (after.is_primary, after.in_recovery, after.lsn_bytes) == (True, False, 95)
