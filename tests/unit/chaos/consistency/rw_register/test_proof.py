"""The replay of an order of registers: it must refuse every wrong one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from support.consistency.transactions import register_transactions

from chaos.consistency.levels import LEVELS
from chaos.consistency.rw_register.proof import replay
from chaos.consistency.transactions.order import Timeline
from chaos.consistency.transactions.replay import Replay

HISTORY = ("p1 +x1", "p1 ?x1 +x2", "p2 ?x2")


def replayed(
    lines: tuple[str, ...], read_at: list[int], commit_at: list[int], level: str
) -> Replay:
    """What comes of an order in which every transaction took part that did not fail."""
    history = register_transactions(*lines)
    timeline = Timeline(read_at=np.array(read_at), commit_at=np.array(commit_at))
    return replay(history, history.outcome != 1, timeline, LEVELS[level])


def serial(lines: tuple[str, ...], order: list[int], level: str = "strict-serializable") -> str:
    return replayed(lines, order, order, level).wrong


def test_the_right_order_is_taken() -> None:
    done = replayed(HISTORY, [0, 1, 2], [0, 1, 2], "strict-serializable")
    assert (done.checked, done.wrong, done.how) == (2, "", "serial")


@pytest.mark.parametrize("order", [list(one) for one in permutations(range(3))][1:])
@pytest.mark.parametrize("level", ["read-committed", "repeatable-read", "serializable"])
def test_another_order_is_refused(order: list[int], level: str) -> None:
    assert serial(HISTORY, order, level)


def test_a_read_may_be_older_only_where_the_level_lets_it() -> None:
    lines = ("+x1", "+x2", "?x1")
    assert serial(lines, [0, 1, 2], "strong-read-committed") == ""
    assert "something else than was there" in serial(lines, [0, 1, 2], "serializable")
    assert serial(lines, [0, 2, 1], "serializable") == ""


def test_what_was_not_committed_before_is_refused() -> None:
    for lines in [("?x1", "+x1"), ("+x1 +x2", "?x1"), ("+x1", "?x7")]:
        assert "not committed before" in serial(lines, [0, 1], "read-committed")
    assert serial(("+x1 ?x1 +x2", "?x2"), [0, 1], "read-committed") == ""


def test_within_a_transaction_only_a_level_that_asks_is_strict() -> None:
    lines = ("+x1 ?x_", "?x1")
    assert serial(lines, [0, 1], "repeatable-read") == ""
    assert serial(lines, [0, 1], "serializable")


def test_the_clock_and_the_session_are_looked_at() -> None:
    lines = ("p1 +x1", "p1 +y1", "p2 +z1")
    assert "had ended before it began" in serial(lines, [0, 2, 1])
    assert serial(lines, [0, 2, 1], "strong-session-serializable") == ""
    assert "session" in serial(lines, [1, 0, 2], "strong-session-serializable")


def test_an_acknowledged_transaction_may_not_lack() -> None:
    history = register_transactions("+x1", "+x2")
    places = np.arange(2)
    timeline = Timeline(read_at=places, commit_at=places)
    took_part = np.array([True, False])
    assert "lacks" in replay(history, took_part, timeline, LEVELS["serializable"]).wrong


def test_snapshots_may_overlap_where_they_write_different_keys() -> None:
    skew = ("| ?x_ +y1", "| ?y_ +x1")
    done = replayed(skew, [0, 1], [2, 3], "snapshot-isolation")
    assert (done.wrong, done.how) == ("", "snapshot")
    assert "before it reads" in replayed(skew, [0, 3], [2, 1], "snapshot-isolation").wrong
    blind = ("| +x1", "| +x2")
    assert "side by side" in replayed(blind, [0, 1], [2, 3], "snapshot-isolation").wrong
    late = ("| ?x_ +y1", "| ?y_ +x1")
    assert "something else" in replayed(late, [0, 3], [2, 4], "snapshot-isolation").wrong


def test_a_long_fork_is_visible_and_read_skew_is_not() -> None:
    level = "parallel-snapshot-isolation"
    fork = ("| +x1", "| +y1", "| ?x1 ?y_", "| ?y1 ?x_")
    done = replayed(fork, [0, 1, 2, 3], [0, 1, 2, 3], level)
    assert (done.wrong, done.how) == ("", "visible")
    assert serial(("| +x1 +y1", "| ?x_ ?y1"), [0, 1], level)
    assert serial(("| +x1", "| ?x1 +y1", "| ?y1 ?x_"), [0, 1, 2], level)
    own = ("p1 +x1", "p1 ?x_")
    assert serial(own, [0, 1], level) == ""
    assert serial(own, [0, 1], f"strong-session-{level}")
