"""Where large reads begin: runs with a reader that are accepted, and those to reject."""

from __future__ import annotations

import pytest
from support.evidence.streams import READER, stream, with_reader
from support.evidence.tiny import A, B, event
from support.evidence.warehoused import warehouse_run

from chaos.evidence.events import RunEvent
from chaos.findings import Verdict
from chaos.judge.judging import judge
from chaos.workloads.warehouse import check_readers


def test_streams_that_began_on_the_reader_are_accepted() -> None:
    run = with_reader([stream(12.0, READER), stream(15.0, READER, A)])
    assert check_readers.check(run) == []
    result = judge(run).result("readers")
    assert result is not None
    assert result.verdict is Verdict.VALID


def test_a_stream_that_began_on_a_candidate_is_found() -> None:
    run = with_reader([stream(12.0, READER), stream(15.0, B, READER)])
    [finding] = check_readers.check(run)
    assert (finding.kind, finding.verdict) == (
        check_readers.READ_FROM_CANDIDATE,
        Verdict.INVALID,
    )
    [proof] = finding.evidence
    assert (proof["id"], proof["node"], proof["reader"]) == ("read-15", B, READER)


def test_it_is_found_while_a_host_is_lost_that_is_not_in_its_way() -> None:
    lost = event(21.0, "fault", fault="host-power-cut", target=A)
    [finding] = check_readers.check(with_reader([stream(25.0, B)], lost))
    assert finding.kind is check_readers.READ_FROM_CANDIDATE


@pytest.mark.parametrize(
    ("more", "begin_s"),
    [
        ([], 5.0),  # the load has just begun
        ([event(14.0, "role", node=READER, role="unreachable")], 15.0),
        ([event(14.0, "role", node=READER, role="replica", timeline=1)], 15.0),
        ([event(21.0, "fault", fault="site-cut", target="lyon")], 25.0),
        ([event(21.0, "fault", fault="host-power-cut", target=READER)], 25.0),
        ([event(10.0, "role", node=A, role="primary", timeline=2)], 25.0),
        ([event(21.0, "fault", fault="host-power-cut", target=B)], 25.0),
        ([event(12.0, "role", node=B, role="starting")], 25.0),
        ([event(16.0, "role", node=B, role="replica", timeline=1)], 25.0),
    ],
    ids=[
        *("begin", "away", "back", "cut", "lost", "behind a promotion"),
        *("source lost", "source starts", "source back"),
    ],
)
def test_where_the_reader_was_not_well_nothing_is_judged(
    more: list[RunEvent], begin_s: float
) -> None:
    [finding] = check_readers.check(with_reader([stream(begin_s, B)], *more))
    assert finding.verdict is Verdict.UNKNOWN


def test_without_a_reader_it_is_not_asked() -> None:
    assert judge(warehouse_run()).result("readers") is None
