"""Each anomaly of registers, and the levels that forbid it; VALID with its proof."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.consistency.transactions import register_events, register_transactions

from chaos.consistency.answer import HistoryAnswer
from chaos.consistency.foreign.jepsen import HistoryEvent
from chaos.consistency.levels import LEVELS
from chaos.consistency.rw_register import search
from chaos.consistency.rw_register.histories import from_events
from chaos.consistency.rw_register.judge import RwRegisterJudge
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
"""In the order of the letters below: V for VALID, x for INVALID, ? for UNKNOWN."""

CASES = {
    "nothing wrong": (["+x1", "?x1 +x2", "?x2"], "VVVVVVVV"),
    "nobody wrote": (["?x_", "?y_"], "VVVVVVVV"),
    "nobody read": (["+x1", "+x2", "+y1"], "VVVVVVVV"),
    "its own write, and what it read before": (["+x1", "?x1 ?x1 +x2 ?x2"], "VVVVVVVV"),
    "an unknown one may have taken effect": (["info +x1", "?x1"], "VVVVVVVV"),
    "an unknown one need not have": (["info +x1", "?x_", "+x2", "?x2"], "VVVVVVVV"),
    "an unknown one may take effect late": (["info +x1", "?x_", "?x1"], "VVVVVVVV"),
    "what an unknown one read says nothing": (["info ?x7 +x1", "?x1"], "VVVVVVVV"),
    "overlapping ones have no order": (["| +x1", "| ?x_", "| ?x1"], "VVVVVVVV"),
    "G1a: read of what failed": (["fail +x1", "?x1"], "Vxxxxxxx"),
    "G1b: half of a transaction": (["+x1 +x2", "?x1"], "Vxxxxxxx"),
    "G1c: each saw the other": (["| +x1 ?y1", "| +y1 ?x1"], "Vxxxxxxx"),
    "G1c: read from the future": (["?x1", "+x1"], "VVVVVVxx"),
    "internal: it forgets its own write": (["+x1 ?x_", "?x1"], "VVxxxxxx"),
    "internal: two reads differ": (["+x1", "?x_ ?x1"], "VVxxxxxx"),
    "lost update": (["+x1", "| ?x1 +x2", "| ?x1 +x3"], "VVxxxxxx"),
    "lost update of nil": (["| ?x_ +x2", "| ?x_ +x3"], "VVxxxxxx"),
    "G-single: read skew": (["| ?x_ ?y1", "| +x1 +y1"], "VVxxxxxx"),
    "write skew": (["| ?x_ +y1", "| ?y_ +x1"], "VVVxVxVx"),
    "long fork": (["| +x1", "| +y1", "| ?x1 ?y_", "| ?y1 ?x_"], "VVxxxxxx"),
    "a stale nil": (["+x1", "?x_"], "VVVVVVxx"),
    "a stale nil in one's own session": (["p1 +x1", "p1 ?x_"], "VVVVxxxx"),
    "a stale read, of which Elle sees nothing": (["+x1", "+x2", "?x1"], "VVVVVV??"),
    "a stale read of one's own, too": (["p1 +x1", "p1 +x2", "p1 ?x1"], "VVVV????"),
    "read skew of what was replaced": (["+x1 +y1", "| ?x1 +x2 +y2", "| ?x1 ?y2"], "VV??????"),
    "write skew of written ones": (["+x1 +y1", "| ?x1 ?y1 +x2", "| ?x1 ?y1 +y2"], "VVV?V?V?"),
    "a circle through an unknown one": (["| info +x1 +y1", "| ?x1 ?y_"], "VV??????"),
    "phantom": (["+x1", "?x7"], "????????"),
    "phantom, and something else": (["+x1 ?x_", "?x7"], "??xxxxxx"),
    "read before it wrote it itself": (["?x1 +x1"], "V???????"),
}


def said(answer: HistoryAnswer) -> str:
    return {Verdict.VALID: "V", Verdict.INVALID: "x"}.get(answer.verdict, "?")


@pytest.mark.parametrize("case", CASES)
def test_what_each_level_says(case: str) -> None:
    lines, expected = CASES[case]
    judge = RwRegisterJudge(register_transactions(*lines))
    answers = [judge.judge(LEVELS[name]) for name in EIGHT]
    assert "".join(map(said, answers)) == expected
    for answer in answers:
        assert (answer.proof is not None) == (answer.verdict is Verdict.VALID)
        assert bool(answer.anomalies) == (answer.verdict is Verdict.INVALID)


@pytest.mark.parametrize(
    ("case", "level", "names"),
    [
        ("G1a: read of what failed", "read-committed", {"G1a"}),
        ("G1b: half of a transaction", "read-committed", {"G1b"}),
        ("G1c: each saw the other", "read-committed", {"G1c"}),
        ("G1c: read from the future", "strict-serializable", {"G1c-realtime"}),
        ("internal: two reads differ", "snapshot-isolation", {"internal"}),
        ("lost update", "repeatable-read", {"lost-update"}),
        ("G-single: read skew", "snapshot-isolation", {"G-single-item"}),
        ("write skew", "serializable", {"G2-item"}),
        ("long fork", "snapshot-isolation", {"G-nonadjacent-item"}),
        ("a stale nil", "strong-snapshot-isolation", {"G-single-item-realtime"}),
        (
            "a stale nil in one's own session",
            "strong-session-serializable",
            {"G-single-item-process"},
        ),
    ],
)
def test_anomalies_have_their_names(case: str, level: str, names: set[str]) -> None:
    answer = RwRegisterJudge(register_transactions(*CASES[case][0])).judge(LEVELS[level])
    assert {anomaly.name for anomaly in answer.anomalies} == names


@pytest.mark.parametrize(
    ("case", "level", "expected"),
    [
        ("internal: two reads differ", "repeatable-read", "V"),
        ("write skew", "repeatable-read", "x"),
        ("long fork", "parallel-snapshot-isolation", "V"),
        ("write skew", "parallel-snapshot-isolation", "V"),
        ("G-single: read skew", "parallel-snapshot-isolation", "x"),
        ("read skew of what was replaced", "parallel-snapshot-isolation", "?"),
        ("a stale nil in one's own session", "strong-session-parallel-snapshot-isolation", "x"),
        ("a stale read of one's own, too", "strong-session-parallel-snapshot-isolation", "?"),
    ],
)
def test_other_levels(case: str, level: str, expected: str) -> None:
    answer = RwRegisterJudge(register_transactions(*CASES[case][0])).judge(LEVELS[level])
    assert said(answer) == expected


def test_a_circle_is_told_in_sentences_and_drawn() -> None:
    judge = RwRegisterJudge(register_transactions("| ?x_ ?y1", "| +x2 +y1"))
    (anomaly,) = judge.judge(LEVELS["serializable"]).anomalies
    assert set(anomaly.sentences[:2]) == {
        "T1 saw key x as nil, before T2 wrote 2 to it: T1 before T2.",
        "T1 saw 1 in key y, which T2 had written: T2 before T1.",
    }
    assert anomaly.drawn == "T1 -rw-> T2 -wr-> T1"
    assert [one["did"] for one in anomaly.evidence] == ["r x nil, r y 1", "w x 2, w y 1"]


@pytest.mark.parametrize(
    ("lines", "level", "words"),
    [
        (["+x1", "+x2", "?x1"], "strict-serializable", "no order of the transactions explains"),
        (["+x1", "+x2", "?x1"], "strict-serializable", "line 5 read 1 in key x"),
        (["+x1", "+x2", "?x1"], "strong-snapshot-isolation", "began, by that of line 3"),
        (["+x1 +y1", "| ?x1 +x2 +y2", "| ?x1 ?y2"], "serializable", "read and replaced by 2"),
        (["+x1", "?x7"], "serializable", "nobody in the history wrote it"),
        (["?x1 +x1"], "serializable", "wrote it only afterwards"),
        (["+x1", "+x1"], "serializable", "written more than once to key x"),
        (["+x_"], "serializable", "nil is written to key x"),
        ([], "serializable", "no transaction of a client"),
    ],
)
def test_what_is_unknown_has_its_reason(lines: list[str], level: str, words: str) -> None:
    answer = RwRegisterJudge(register_transactions(*lines)).judge(LEVELS[level])
    assert answer.verdict is Verdict.UNKNOWN
    assert words in answer.reason


def test_a_search_that_gives_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "STEPS_MAX", 0)
    monkeypatch.setattr(search, "STEPS_PER_NODE", 0)
    judge = RwRegisterJudge(register_transactions("+x1", "+x2"))
    answer = judge.judge(LEVELS["serializable"])
    assert answer.verdict is Verdict.UNKNOWN
    assert "the search gave up after" in answer.reason


@st.composite
def small_histories(draw: st.DrawFn, most: int = 5) -> list[HistoryEvent]:
    """A few transactions on two keys, side by side or not, whose reads may be anything."""
    counts = {"x": 0, "y": 0}
    lines = []
    beside = "| " if draw(st.booleans()) else ""
    for _ in range(draw(st.integers(2, most))):
        outcome = draw(st.sampled_from(["ok", "ok", "ok", "info"]))
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            key = draw(st.sampled_from("xy"))
            if draw(st.booleans()):
                counts[key] += 1
                parts.append(f"+{key}{counts[key]}")
            else:
                parts.append(f"?{key}{draw(st.sampled_from('_123'))}")
        lines.append(f"{beside}{outcome} {' '.join(parts)}")
    return register_events(*lines)


@settings(max_examples=300, deadline=None)
@given(small_histories(), st.sampled_from(["serializable", "strict-serializable"]))
def test_valid_means_that_some_order_explains_it(found: list[HistoryEvent], level: str) -> None:
    """Of histories without a phantom every one with an order is VALID, and no other one."""
    history = from_events(found)
    answer = RwRegisterJudge(history).judge(LEVELS[level])
    if "nobody in the history wrote it" in answer.reason:
        return
    is_explained = some_order_explains(history, by_clock=level == "strict-serializable")
    assert (answer.verdict is Verdict.VALID) == is_explained


@settings(max_examples=100, deadline=None)
@given(small_histories(most=4))
def test_snapshot_isolation_means_that_some_snapshots_explain_it(found: list[HistoryEvent]) -> None:
    history = from_events(found)
    answer = RwRegisterJudge(history).judge(LEVELS["snapshot-isolation"])
    if "nobody in the history wrote it" in answer.reason:
        return
    assert (answer.verdict is Verdict.VALID) == some_snapshots_explain(history)


@settings(max_examples=150, deadline=None)
@given(small_histories())
def test_what_a_stronger_level_allows_a_weaker_one_allows(found: list[HistoryEvent]) -> None:
    judge = RwRegisterJudge(from_events(found))
    chain = (
        "strict-serializable",
        "strong-session-serializable",
        "serializable",
        "snapshot-isolation",
        "parallel-snapshot-isolation",
        "read-committed",
        "read-uncommitted",
    )
    verdicts = [judge.judge(LEVELS[name]).verdict for name in chain]
    for stronger, weaker in pairwise(verdicts):
        assert stronger is not Verdict.VALID or weaker is Verdict.VALID
        assert weaker is not Verdict.INVALID or stronger is Verdict.INVALID


def choices(history: Transactions) -> Iterator[list[int]]:
    """Every choice of what took effect."""
    sure = [op for op in range(history.count) if history.outcome[op] == 0]
    unsure = [op for op in range(history.count) if history.outcome[op] == 2]
    for chosen in range(2 ** len(unsure)):
        yield [*sure, *(op for bit, op in enumerate(unsure) if chosen >> bit & 1)]


def some_order_explains(history: Transactions, *, by_clock: bool) -> bool:
    """Every order, one after the other."""
    return any(
        explains(history, order) and not (by_clock and breaks_clock(history, order))
        for took in choices(history)
        for order in permutations(took)
    )


def some_snapshots_explain(history: Transactions) -> bool:
    """Every order of reads and commits, and none of two that overlap writes the same key."""
    return any(snapshots_explain(history, (), frozenset(took), {}, {}) for took in choices(history))


def snapshots_explain(
    history: Transactions,
    running: tuple[int, ...],
    waiting: frozenset[int],
    state: dict[int, int],
    held: dict[int, int],
) -> bool:
    if not running and not waiting:
        return True
    for op in waiting:
        keys = [int(history.key[micro]) for micro in history.micro_ops(op)
                if not history.is_read[micro]]  # fmt: skip
        if any(key in held for key in keys) or not sees(history, op, dict(state)):
            continue
        more = held | dict.fromkeys(keys, op)
        if snapshots_explain(history, (*running, op), waiting - {op}, state, more):
            return True
    for op in running:
        after = dict(state)
        for micro in history.micro_ops(op):
            if not history.is_read[micro]:
                after[int(history.key[micro])] = int(history.value[micro])
        rest = {key: holder for key, holder in held.items() if holder != op}
        others = tuple(one for one in running if one != op)
        if snapshots_explain(history, others, waiting, after, rest):
            return True
    return False


def breaks_clock(history: Transactions, order: tuple[int, ...]) -> bool:
    return any(
        history.ended[late] < history.began[early]
        for place, early in enumerate(order)
        for late in order[place + 1 :]
    )


def explains(history: Transactions, order: tuple[int, ...]) -> bool:
    state: dict[int, int] = {}
    return all(sees(history, op, state) for op in order)


def sees(history: Transactions, op: int, state: dict[int, int]) -> bool:
    """Whether a transaction reads what is there; what it writes is there then."""
    for micro in history.micro_ops(op):
        key = int(history.key[micro])
        if not history.is_read[micro]:
            state[key] = int(history.value[micro])
        elif history.length[micro] >= 0 and history.list_of(micro) != (
            [state[key]] if key in state else []
        ):
            return False
    return True
