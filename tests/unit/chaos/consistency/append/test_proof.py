"""The replay of an order: it must refuse every wrong one."""

from __future__ import annotations

import numpy as np
import pytest
from support.consistency.transactions import transactions

from chaos.consistency.append.proof import replay
from chaos.consistency.levels import LEVELS
from chaos.consistency.transactions.order import Timeline

HISTORY = ("p1 +x1", "p1 ?x[1] +x2", "p2 ?x[1 2]")


def said(lines: tuple[str, ...], read_at: list[int], commit_at: list[int], level: str) -> str:
    """What is wrong with an order in which every transaction took part that did not fail."""
    history = transactions(*lines)
    timeline = Timeline(read_at=np.array(read_at), commit_at=np.array(commit_at))
    return replay(history, history.outcome != 1, timeline, LEVELS[level]).wrong


def serial(lines: tuple[str, ...], order: list[int], level: str = "strict-serializable") -> str:
    return said(lines, order, order, level)


def test_the_right_order_is_taken() -> None:
    history = transactions(*HISTORY)
    places = np.arange(3)
    done = replay(
        history,
        np.ones(3, np.bool_),
        Timeline(read_at=places, commit_at=places),
        LEVELS["strict-serializable"],
    )
    assert (done.checked, done.wrong) == (2, "")


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2, 1], [2, 1, 0]])
@pytest.mark.parametrize("level", ["read-committed", "repeatable-read", "serializable"])
def test_another_order_is_refused(order: list[int], level: str) -> None:
    assert serial(HISTORY, order, level)


def test_a_read_may_be_older_only_where_the_level_lets_it() -> None:
    lines = ("+x1", "+x2", "?x[1]", "?x[1 2]")
    assert serial(lines, [0, 1, 2, 3], "read-committed") == ""
    assert "saw 1 elements, not 2" in serial(lines, [0, 1, 2, 3], "serializable")


def test_other_elements_are_refused() -> None:
    assert "other elements" in serial(("+x1", "+x2", "?x[2 1]"), [0, 1, 2], "read-committed")


def test_a_half_of_a_transaction_is_refused() -> None:
    assert "a part" in serial(("+x1 +x2", "?x[1]"), [0, 1], "read-committed")


def test_what_failed_may_not_take_part_and_what_was_acknowledged_must() -> None:
    history = transactions("fail +x1", "+x2")
    timeline = Timeline(read_at=np.arange(2), commit_at=np.arange(2))
    for took_part in ([True, True], [False, False]):
        done = replay(history, np.array(took_part), timeline, LEVELS["read-committed"])
        assert "acknowledged" in done.wrong


def test_the_clock_and_the_session_are_looked_at() -> None:
    lines = ("p1 +x1", "p1 +y1", "p2 +z1")
    assert serial(lines, [0, 1, 2]) == ""
    assert "had ended before it began" in serial(lines, [0, 2, 1])
    assert serial(lines, [0, 2, 1], "strong-session-serializable") == ""
    assert "of a session" in serial(lines, [1, 0, 2], "strong-session-serializable")


def test_a_snapshot_is_read_before_it_commits_and_writers_do_not_overlap() -> None:
    level = "snapshot-isolation"
    skewed = ("| ?x[] +y1", "| ?y[] +x1", "| ?x[1] ?y[1]")
    assert said(skewed, [0, 1, 4], [2, 3, 5], level) == ""
    assert "commits before it reads" in said(skewed, [2, 1, 4], [0, 3, 5], level)
    both = ("| +x1", "| +x2", "| ?x[1 2]")
    assert said(both, [0, 2, 4], [1, 3, 5], level) == ""
    assert "side by side" in said(both, [0, 1, 4], [2, 3, 5], level)


def test_read_uncommitted_asks_only_for_the_order_of_the_appends() -> None:
    level = "read-uncommitted"
    lines = ("+x1", "+x2", "?x[1 2]", "?x[2]")
    assert serial(lines, [0, 1, 2, 3], level) == ""
    assert "longest read" in serial(lines, [1, 0, 2, 3], level)
    assert "lacks" in serial(("+x1", "+x2", "?x[2]"), [0, 1, 2], level)
