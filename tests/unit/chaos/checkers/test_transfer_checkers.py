"""Totals and balances: histories that are accepted, and those that are rejected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence.tiny import A, B, op, run, scenario

from chaos.checkers.divergence import DIVERGENT_REPLICA
from chaos.checkers.duplicates import DUPLICATE
from chaos.checkers.lost import LOST_WRITE
from chaos.checkers.phantom import PHANTOM_WRITE
from chaos.evidence.records import FinalRead, LedgerRow, Operation, OperationOutcome, Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, Verdict
from chaos.judge.judging import judge
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.transfers import TransfersOptions, check_balances, check_totals
from chaos.workloads.transfers.check_balances import WRONG_BALANCE
from chaos.workloads.transfers.check_totals import WRONG_TOTAL

OPTIONS = TransfersOptions(accounts=3, opening_balance=100)
SPEC = WorkloadSpec(options=OPTIONS)
OPENING = 300

Move = tuple[str, int, int, int]
"""Id, source, target, amount."""

MOVES: list[Move] = [("t1", 0, 1, 30), ("t2", 1, 2, 50), ("t3", 2, 0, 5)]


def transfer(
    move: Move,
    at_s: float,
    *,
    outcome: OperationOutcome = "ok",
    attempts: int = 1,
    took_s: float = 0.005,
) -> Operation:
    id_, source, target, amount = move
    work: Mapping[str, Scalar] = {
        "op": "transfer",
        "source": source,
        "target": target,
        "amount": amount,
    }
    return op(id_, at_s, outcome=outcome, work=work, attempts=attempts, took_s=took_s)


def total(id_: str, at_s: float, found: int, *, accounts: int = 3) -> Operation:
    return op(
        id_,
        at_s,
        leaves_entry=False,
        work={"op": "total"},
        result={"total": found, "accounts": accounts},
    )


def held(node: str, moves: Sequence[Move], *, change: Mapping[int, int] | None = None) -> FinalRead:
    """What a node holds after ``moves``; ``change`` is put onto its balances."""
    holds = dict.fromkeys(range(OPTIONS.accounts), OPTIONS.opening_balance)
    for _, source, target, amount in moves:
        holds[source] -= amount
        holds[target] += amount
    for account, amount in (change or {}).items():
        holds[account] += amount
    return FinalRead(
        node=node,
        rows=tuple(
            LedgerRow(
                id=id_,
                content=json.dumps({"source": source, "target": target, "amount": amount}),
            )
            for id_, source, target, amount in moves
        ),
        state=tuple(LedgerRow(id=str(n), content=str(amount)) for n, amount in holds.items()),
        timeline=1,
        lsn=10_000,
        is_primary=node == A,
    )


def judged(operations: Sequence[Operation], reads: Sequence[FinalRead]) -> Run:
    # Of a handful of operations no rate is asked.
    no_rate: dict[str, Scalar] = {"rate_per_s": None}
    return run(operations, reads=reads, asked=scenario(workload=SPEC), settings=no_rate)


DONE = [transfer(move, float(n)) for n, move in enumerate(MOVES)]


def found(of: Run) -> list[Finding]:
    return [*check_totals.check(of), *check_balances.check(of)]


def test_transfers_that_are_whole_are_accepted() -> None:
    reads = [held(A, MOVES), held(B, MOVES)]
    of = judged([*DONE, total("r1", 1.5, OPENING)], reads)
    assert found(of) == []
    results = {result.name: result for result in judge(of).results}
    for name in ("lost-entries", "phantom-entries", "duplicates", "total-kept", "balances"):
        assert results[name].verdict is Verdict.VALID, name


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 999))))
def test_whatever_moves_the_total_is_kept(amounts: list[tuple[int, int, int]]) -> None:
    moves: list[Move] = [(f"t{n}", *amount) for n, amount in enumerate(amounts)]
    done = [transfer(move, float(n)) for n, move in enumerate(moves)]
    assert found(judged(done, [held(A, moves), held(B, moves)])) == []


def test_a_transfer_in_doubt_may_be_there_or_not() -> None:
    doubtful = transfer(("x", 0, 2, 7), 3.0, outcome="info")
    assert found(judged([*DONE, doubtful], [held(A, [*MOVES, ("x", 0, 2, 7)])])) == []
    assert found(judged([*DONE, doubtful], [held(A, MOVES)])) == []


def test_a_transfer_that_is_lost_whole_keeps_total_and_balances_and_is_lost() -> None:
    of = judged(DONE, [held(A, MOVES[:2]), held(B, MOVES[:2])])
    assert found(of) == []
    [finding] = judge(of).findings
    assert (finding.kind, finding.checker) == (LOST_WRITE, "lost-entries")
    assert [proof["id"] for proof in finding.evidence] == ["t3"]


def test_a_read_of_the_total_is_no_lost_entry_and_a_row_with_its_id_is_a_phantom() -> None:
    read = total("r1", 1.5, OPENING)
    whole = judged([*DONE, read], [held(A, MOVES), held(B, MOVES)])
    assert judge(whole).findings == ()
    extra: list[Move] = [*MOVES, ("r1", 0, 1, 1)]
    kinds = [finding.kind for finding in judge(judged([*DONE, read], [held(A, extra)])).findings]
    assert PHANTOM_WRITE in kinds


def test_half_a_transfer_is_a_wrong_total_and_a_wrong_balance() -> None:
    broken = held(A, MOVES, change={1: -50})
    suspect = transfer(("t9", 1, 2, 50), 4.0, outcome="info", attempts=3)
    [wrong_total, wrong_balance] = found(judged([*DONE, suspect], [broken, held(B, MOVES)]))
    assert wrong_total.kind is WRONG_TOTAL
    assert wrong_total.verdict is wrong_balance.verdict is Verdict.INVALID
    assert wrong_total.evidence[0] == {"node": A, "total": 250, "opening": OPENING}
    assert [proof["id"] for proof in wrong_total.evidence[1:]] == ["t9"]
    assert wrong_balance.kind is WRONG_BALANCE
    assert wrong_balance.evidence == (
        {"node": A, "account": "1", "balance": 30, "entries_say": 80},
    )


def test_an_update_that_was_lost_is_a_wrong_balance_though_the_total_is_kept() -> None:
    [finding] = found(judged(DONE, [held(A, MOVES, change={0: 5, 2: -5})]))
    assert finding.kind is WRONG_BALANCE
    assert [proof["account"] for proof in finding.evidence] == ["0", "2"]


def test_an_account_that_is_gone_is_found_even_if_it_was_empty() -> None:
    move: Move = ("t1", 0, 1, 100)
    whole = held(A, [move])
    short = FinalRead(node=A, rows=whole.rows, state=whole.state[1:], is_primary=True)
    [wrong_total, wrong_balance] = found(judged([transfer(move, 1.0)], [short]))
    assert "the balances of 2 accounts add up to 300" in wrong_total.summary
    assert wrong_balance.evidence[0]["balance"] is None


def test_a_doubled_transfer_is_a_duplicate_and_its_balances_agree() -> None:
    twice = [*MOVES, MOVES[0]]
    of = judged(DONE, [held(A, twice), held(B, twice)])
    assert found(of) == []
    assert [finding.kind for finding in judge(of).findings] == [DUPLICATE]


def test_an_entry_that_says_something_else_than_was_asked_is_found() -> None:
    other: list[Move] = [("t1", 0, 1, 31), *MOVES[1:]]
    [finding] = found(judged(DONE, [held(A, other)]))
    assert finding.evidence == (
        {"id": "t1", "node": A, "asked": "30 from 0 to 1", "found": "31 from 0 to 1"},
    )


@pytest.mark.parametrize("read", [total("r", 1.001, 270), total("r", 1.001, 300, accounts=2)])
def test_a_torn_snapshot_names_the_transfers_around_it(read: Operation) -> None:
    before = transfer(("b", 0, 1, 1), 0.5)
    during = transfer(("d", 1, 2, 30), 1.0)
    failed = transfer(("f", 1, 2, 30), 1.0, outcome="fail")
    later = transfer(("l", 2, 0, 1), 9.0)
    moves: list[Move] = [("b", 0, 1, 1), ("d", 1, 2, 30), ("l", 2, 0, 1)]
    [finding] = check_totals.check(
        judged([before, during, failed, read, later], [held(A, moves), held(B, moves)])
    )
    assert (finding.kind, finding.verdict) == (WRONG_TOTAL, Verdict.INVALID)
    head, *around = finding.evidence
    assert (head["id"], head["opening"]) == ("r", OPENING)
    assert [(proof["id"], proof["when"]) for proof in around] == [
        ("b", "just before"),
        ("d", "at the same time"),
    ]
    assert around[1]["moved"] == "30 from 1 to 2"


def test_balances_that_differ_between_nodes_are_a_divergence() -> None:
    of = judged(DONE, [held(A, MOVES), held(B, MOVES, change={0: 1, 1: -1})])
    divergent = [f for f in judge(of).findings if f.kind is DIVERGENT_REPLICA]
    [finding] = divergent
    assert [proof["id"] for proof in finding.evidence] == ["0", "1"]
    assert "2 rows" in finding.summary
