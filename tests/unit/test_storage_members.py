"""Who is the primary, decided from answers; no sockets."""

from __future__ import annotations

import anyio
import pytest

from replication.members import Member, RestAnswer, choose_primary, find_primary, parse_timeline

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
    assert parse_timeline(body) == timeline


def test_a_silent_member_delays_nobody_and_a_new_primary_is_noticed() -> None:
    members = [Member(name=name, rest_url="", host="", port=0) for name in ALL]
    asked: dict[str, int] = dict.fromkeys(ALL, 0)

    async def ask(member: Member) -> RestAnswer:
        asked[member.name] += 1
        if member.name == A:
            await anyio.sleep_forever()
        return YES if member.name == C and asked[C] == 3 else NO

    async def search() -> str:
        with anyio.fail_after(5):
            return (await find_primary(members, ask, pause_s=lambda: 0.0)).name

    assert anyio.run(search) == C
    assert asked[A] == 1
    assert asked[C] == 3
