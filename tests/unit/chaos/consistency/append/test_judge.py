"""Each anomaly, and the levels that forbid it; VALID with its proof."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.consistency.transactions import events, transactions

from chaos.consistency.append.histories import from_events
from chaos.consistency.append.judge import ListAppendJudge
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.levels import LEVELS
from chaos.consistency.transactions.columns import Transactions
from chaos.findings import Verdict

EIGHT = (
    "read-uncommitted",
    "read-committed",
    "snapshot-isolation",
    "serializable",
    "strong-session-snapshot-isolation",
    "strong-session-serializable",
    "strong-snapshot-isolation",
    "strict-serializable",
)
"""In the order of the letters below: V for VALID, x for INVALID."""

CASES = {
    "nothing wrong": (["+x1", "?x[1] +x2", "?x[1 2]"], "VVVVVVVV"),
    "G0: appends in both orders": (["+x1 +y1", "+x2 +y2", "?x[1 2] ?y[2 1]"], "xxxxxxxx"),
    "G1a: read of what failed": (["fail +x1", "?x[1]"], "Vxxxxxxx"),
    "an unknown one may have taken effect": (["info +x1", "?x[1]"], "VVVVVVVV"),
    "an unknown one need not have": (["info +x1", "?x[]", "+x2", "?x[2]"], "VVVVVVVV"),
    "an unknown one may take effect late": (["info +x1", "?x[]", "?x[1]"], "VVVVVVVV"),
    "G1b: half of a transaction": (["+x1 +x2", "?x[1]"], "Vxxxxxxx"),
    "its own half": (["+x1 ?x[1] +x2", "?x[1 2]"], "VVVVVVVV"),
    "G1c: each saw the other": (["| +x1 ?y[1]", "| +y1 ?x[1]"], "Vxxxxxxx"),
    "dirty update": (["fail +x1", "+x2", "?x[1 2]"], "Vxxxxxxx"),
    "dirty update, seen by nobody who was acknowledged": (
        ["fail +x1", "+x2", "info ?x[1 2]"],
        "Vxxxxxxx",
    ),
    "incompatible orders": (["+x1", "+x2", "+x3", "?x[1 2 3]", "?x[1 3]"], "Vxxxxxxx"),
    "duplicate": (["+x1", "+x2", "?x[1 2 1]"], "xxxxxxxx"),
    "duplicate in a short read": (["+x1", "+x2", "?x[1 2]", "?x[1 1]"], "xxxxxxxx"),
    "phantom": (["+x1", "?x[1 7]"], "xxxxxxxx"),
    "future read": (["?x[1] +x1", "?x[1]"], "Vxxxxxxx"),
    "internal: it forgets its own append": (["+x1 ?x[]", "?x[1]"], "VVxxxxxx"),
    "internal: two reads differ": (["+x1", "| ?x[] ?x[1]"], "VVxxxxxx"),
    "internal: something between": (["+x1", "+x2", "?x[1] +x3 ?x[1 2 3]"], "VVxxxxxx"),
    "lost update, both unseen": (["+x1", "| ?x[1] +x2", "| ?x[1] +x3"], "VVxxxxxx"),
    "G-single: read skew": (
        ["+x1 +y1", "| ?x[1] ?y[1 2]", "| +x2 +y2", "?x[1 2] ?y[1 2]"],
        "VVxxxxxx",
    ),
    "write skew": (["| ?x[] +y1", "| ?y[] +x1"], "VVVxVxVx"),
    "long fork": (["| +x1", "| +y1", "| ?x[1] ?y[]", "| ?y[1] ?x[]"], "VVxxxxxx"),
    "a stale read in one's own session": (
        ["p1 +x1", "p2 +x2", "p2 ?x[1]", "p3 ?x[1 2]"],
        "VVVVxxxx",
    ),
    "a stale read": (["+x1", "+x2", "?x[1]", "?x[1 2]"], "VVVVVVxx"),
    "a lost append, and a later one seen": (["+x1", "+x2", "?x[2]"], "VVVVVVxx"),
    "lost at the end, never read": (["+x1", "?x[1]", "+x2"], "VVVVVVVV"),
    "lost at the end, and read": (["+x1", "+x2", "?x[1]"], "VVVVVVxx"),
    "a session that reads backwards": (["+x1", "p1 ?x[1]", "p1 ?x[]"], "VVVVxxxx"),
    "overlapping ones have no order": (["| +x1", "| ?x[]", "| ?x[1]"], "VVVVVVVV"),
    "write skew within a session": (["p1 ?x[] +y1", "p1 ?y[] +x1"], "VVVxxxxx"),
    "nobody appended": (["?x[]", "?y[]"], "VVVVVVVV"),
    "nobody read": (["+x1", "+x2", "+y1"], "VVVVVVVV"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_each_level_says(case: str) -> None:
    lines, expected = CASES[case]
    judge = ListAppendJudge(transactions(*lines))
    answers = [judge.judge(LEVELS[name]) for name in EIGHT]
    said = "".join({Verdict.VALID: "V", Verdict.INVALID: "x"}.get(a.verdict, "?") for a in answers)
    assert said == expected
    for answer in answers:
        assert (answer.proof is not None) == (answer.verdict is Verdict.VALID)
        assert bool(answer.anomalies) == (answer.verdict is Verdict.INVALID)


@pytest.mark.parametrize(
    ("case", "level", "names"),
    [
        ("G0: appends in both orders", "read-uncommitted", {"G0"}),
        ("G1a: read of what failed", "read-committed", {"G1a"}),
        ("G1b: half of a transaction", "read-committed", {"G1b"}),
        ("G1c: each saw the other", "read-committed", {"G1c"}),
        ("dirty update", "read-committed", {"G1a", "dirty-update"}),
        ("incompatible orders", "read-committed", {"incompatible-order"}),
        ("duplicate", "read-uncommitted", {"duplicate-elements"}),
        ("phantom", "read-uncommitted", {"phantom-read"}),
        ("future read", "read-committed", {"future-read"}),
        ("internal: it forgets its own append", "snapshot-isolation", {"internal"}),
        ("lost update, both unseen", "snapshot-isolation", {"lost-update"}),
        ("G-single: read skew", "snapshot-isolation", {"G-single-item"}),
        ("write skew", "serializable", {"G2-item"}),
        ("long fork", "snapshot-isolation", {"G-nonadjacent-item"}),
        ("a stale read", "strict-serializable", {"G-single-item-realtime"}),
        (
            "a stale read in one's own session",
            "strong-session-snapshot-isolation",
            {"G-single-item-process"},
        ),
        ("a lost append, and a later one seen", "strict-serializable", {"G0-realtime"}),
    ],
)
def test_anomalies_have_their_names(case: str, level: str, names: set[str]) -> None:
    answer = ListAppendJudge(transactions(*CASES[case][0])).judge(LEVELS[level])
    assert {anomaly.name for anomaly in answer.anomalies} == names


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("long fork", Verdict.VALID),
        ("write skew", Verdict.VALID),
        ("G-single: read skew", Verdict.INVALID),
    ],
)
def test_parallel_snapshot_isolation_allows_a_long_fork(case: str, expected: Verdict) -> None:
    """What reads on replicas of a healthy PostgreSQL show (issue 17, consistency)."""
    judge = ListAppendJudge(transactions(*CASES[case][0]))
    assert judge.judge(LEVELS["parallel-snapshot-isolation"]).verdict is expected


def test_parallel_snapshot_isolation_with_sessions_forbids_what_they_order() -> None:
    judge = ListAppendJudge(transactions(*CASES["write skew within a session"][0]))
    level = LEVELS["strong-session-parallel-snapshot-isolation"]
    assert [one.name for one in judge.judge(level).anomalies] == ["G-single-item-process"]


def test_a_circle_is_told_in_sentences_and_drawn() -> None:
    judge = ListAppendJudge(transactions("+x1", "+x2", "?x[1]", "?x[1 2]"))
    (anomaly,) = judge.judge(LEVELS["strict-serializable"]).anomalies
    assert anomaly.sentences == (
        "T1 saw key x as [1], without 2, which T2 appended: T1 before T2.",
        "T2 had ended before T1 began: T2 before T1.",
        "So T1 comes before itself, which strict-serializable forbids.",
    )
    assert anomaly.drawn == "T1 -rw-> T2 -clock-> T1"
    assert [one["did"] for one in anomaly.evidence] == ["r x [1]", "append x 2"]
    assert [one["began_line"] for one in anomaly.evidence] == [5, 3]


def test_a_circle_over_many_ends_is_cut_short() -> None:
    """The way around leads over every end between the first and the last; the clock does not."""
    between = [f"+y{number}" for number in range(1, 40)]
    judge = ListAppendJudge(transactions("+x1", *between, "?x[]"))
    (anomaly,) = judge.judge(LEVELS["strict-serializable"]).anomalies
    assert len(anomaly.evidence) == 2


def test_a_value_appended_twice_is_unknown() -> None:
    answer = ListAppendJudge(transactions("+x1", "+x1")).judge(LEVELS["serializable"])
    assert answer.verdict is Verdict.UNKNOWN
    assert "appended more than once to key x" in answer.reason


def test_nothing_to_judge_is_unknown() -> None:
    answer = ListAppendJudge(from_events([])).judge(LEVELS["serializable"])
    assert answer.verdict is Verdict.UNKNOWN


def test_two_equally_long_reads_leave_read_uncommitted_open() -> None:
    """With [1 2] there is a circle of appends, with [2 1] there is none."""
    lines = ["+x1 +y1", "+x2 +y2", "?y[2 1]"]
    first, second = ("?x[1 2]", "?x[2 1]")
    for order in ([first, second], [second, first]):
        judge = ListAppendJudge(transactions(*lines, *order))
        assert judge.judge(LEVELS["read-uncommitted"]).verdict is Verdict.UNKNOWN
        assert judge.judge(LEVELS["read-committed"]).verdict is Verdict.INVALID


@pytest.mark.parametrize("is_cut", [True, False])
def test_many_unseen_appends_and_readers_of_one_key(is_cut: bool) -> None:
    """More pairs than are joined one by one: they go through hubs, and say the same."""
    lines = [*(f"| ?x[] +x{number}" for number in range(1, 81)), *(["| ?x[]"] * 80)]
    lines = lines if is_cut else [f"| +x{number}" for number in range(1, 161)] + ["| ?x[]"] * 80
    judge = ListAppendJudge(transactions(*lines))
    answer = judge.judge(LEVELS["strict-serializable"])
    assert answer.verdict is (Verdict.INVALID if is_cut else Verdict.VALID)


def test_a_reader_that_appends_beside_many_others_is_no_circle_of_its_own() -> None:
    lines = [*(f"| +x{number}" for number in range(1, 100)), *(["| ?x[]"] * 80), "| ?x[] +x100"]
    judge = ListAppendJudge(transactions(*lines))
    assert judge.judge(LEVELS["serializable"]).verdict is Verdict.VALID


@st.composite
def small_histories(draw: st.DrawFn) -> list[HistoryEvent]:
    """A few transactions side by side on two keys, whose reads may be anything."""
    counts = {"x": 0, "y": 0}
    lines = []
    for _ in range(draw(st.integers(2, 5))):
        outcome = draw(st.sampled_from(["ok", "ok", "info"]))
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            key = draw(st.sampled_from("xy"))
            if draw(st.booleans()):
                counts[key] += 1
                parts.append(f"+{key}{counts[key]}")
            elif outcome == "info":
                parts.append(f"?{key}")
            else:
                seen = draw(st.sampled_from(["", "1", "2", "1 2", "2 1", "1 2 3"]))
                parts.append(f"?{key}[{seen}]")
        lines.append(f"| {outcome} {' '.join(parts)}")
    return events(*lines)


@settings(max_examples=150, deadline=None)
@given(small_histories())
def test_serializable_means_that_some_order_explains_it(found: list[HistoryEvent]) -> None:
    history = from_events(found)
    verdict = ListAppendJudge(history).judge(LEVELS["serializable"]).verdict
    if verdict is Verdict.UNKNOWN:
        return
    assert (verdict is Verdict.VALID) == some_order_explains(history)


def some_order_explains(history: Transactions) -> bool:
    """Every order of every choice of what took effect, one after the other."""
    sure = [op for op in range(history.count) if history.outcome[op] == 0]
    unsure = [op for op in range(history.count) if history.outcome[op] == 2]
    for chosen in range(2 ** len(unsure)):
        took = [*sure, *(op for bit, op in enumerate(unsure) if chosen >> bit & 1)]
        if any(explains(history, order) for order in permutations(took)):
            return True
    return False


def explains(history: Transactions, order: tuple[int, ...]) -> bool:
    state: dict[int, list[int]] = {}
    for op in order:
        for micro in history.micro_ops(op):
            held = state.setdefault(int(history.key[micro]), [])
            if not history.is_read[micro]:
                held.append(int(history.value[micro]))
            elif history.length[micro] >= 0 and history.list_of(micro) != held:
                return False
    return True
