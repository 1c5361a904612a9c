"""What ``bascule judge`` says of a run, and of one that is not whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence.counted import added, counting
from support.evidence.tiny import B

from chaos.evidence.records import FinalRead
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.workloads.answers import judged
from chaos.workloads.counter import COUNTER


def whole(values: tuple[int, int] = (1, 2)) -> Run:
    run = counting([added("a", 1.0, values[0]), added("b", 2.0, values[1])], 2)
    (primary,) = run.final_reads
    return replace(run, final_reads=(primary, replace(primary, node=B, is_primary=False)))


def test_a_whole_run_is_judged() -> None:
    answer = judged(whole(), COUNTER, None)
    assert (answer.verdict, answer.proof is not None) == (Verdict.VALID, True)


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (replace(whole(), damage=("history-paris.jsonl: line 3 is no JSON",)), "line 3"),
        (replace(whole(), final_reads=whole().final_reads[:1]), "no final read of db-orsay"),
        (
            replace(whole(), final_reads=(whole().final_reads[0], FinalRead(node=B, error="gone"))),
            "db-orsay could not be read",
        ),
    ],
)
def test_what_is_missing_may_contradict(run: Run, what: str) -> None:
    answer = judged(run, COUNTER, None)
    assert (answer.verdict, answer.proof) == (Verdict.UNKNOWN, None)
    assert any(what in note for note in answer.notes)


def test_a_contradiction_stands_whatever_is_missing() -> None:
    damaged = replace(whole((1, 1)), damage=("events.jsonl: is missing",))
    assert judged(damaged, COUNTER, None).verdict is Verdict.INVALID
