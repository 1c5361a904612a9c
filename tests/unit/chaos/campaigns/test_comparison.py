"""Whether outages got longer: told by a rank test, of invented campaigns."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from support.evidence.campaigns import BEGAN, a_run

from chaos.campaigns.comparison import ALL, compare, corrected, rank_test
from chaos.campaigns.journal import CampaignJournal


def journal(*rtos_s: float, fault: str = "host-power-cut", first: int = 2) -> CampaignJournal:
    runs = [a_run(first + n, rto_s=rto_s, fault=fault) for n, rto_s in enumerate(rtos_s)]
    return CampaignJournal(folder=Path("c"), began=BEGAN, runs=tuple(runs))


def around(middle_s: float, count: int, seed: int) -> list[float]:
    random = Random(seed)
    return [random.gauss(middle_s, 3.0) for _ in range(count)]


def test_longer_outages_are_worse_and_shorter_ones_are_not() -> None:
    before, after = journal(*around(20, 30, 1)), journal(*around(25, 30, 2))
    found = compare(before, after)
    assert found.is_worse
    assert [test.is_worse for test in found.tests] == [True, True], "all runs, and the one cause"
    assert found.tests[0].longer_share > 0.8
    back = compare(after, before)
    assert not back.is_worse
    assert all(test.is_different for test in back.tests)


def test_chance_is_rarely_taken_for_a_difference() -> None:
    worse = sum(
        compare(journal(*around(20, 12, seed)), journal(*around(20, 12, 1000 + seed))).is_worse
        for seed in range(200)
    )
    assert worse <= 12  # 2.5 % of 200 are 5


def test_the_exact_p_value_is_that_of_all_orders() -> None:
    before, after = [1.0, 2.0, 3.0, 5.0], [4.0, 6.0, 7.0, 8.0]
    values = sorted([*before, *after])

    def u(of: tuple[float, ...]) -> int:
        others = [value for value in values if value not in of]
        return sum(one > other for one in of for other in others)

    middle = len(before) * len(after) / 2
    extreme = abs(u(tuple(after)) - middle)
    orders = list(combinations(values, len(after)))
    expected = sum(abs(u(one) - middle) >= extreme for one in orders) / len(orders)
    assert rank_test("x", before, after).p == pytest.approx(expected)


def test_p_values_are_corrected_for_their_number() -> None:
    tests = [replace(rank_test("x", [1.0], [2.0]), p=p) for p in (0.04, 0.01, 0.5)]
    assert [test.p for test in corrected(tests)] == pytest.approx([0.08, 0.03, 0.5])


def test_too_few_runs_are_said_to_be_too_few() -> None:
    found = compare(journal(20, 21, 22), journal(90, 91, 92))
    assert found.tests == ()
    assert found.untested == (ALL, "host-power-cut on primary")
    assert not found.is_worse


def test_a_new_kind_of_finding_is_worse_whatever_the_outages() -> None:
    before = journal(20, 21, 22, 23)
    after = replace(before, runs=(*before.runs, a_run(9, verdict="invalid", rto_s=None)))
    found = compare(before, after)
    assert found.new_findings == ("lost-acknowledged-write",)
    assert found.is_worse
    assert not compare(after, after).is_worse


def test_what_was_drawn_from_differently_is_told() -> None:
    before = journal(20, 21, 22, 23)
    began = replace(BEGAN, rate_per_s=None, versions={**BEGAN.versions, "postgresql": "18.2"})
    found = compare(before, replace(before, began=began))
    assert found.differences == ("the rate: 20.0, then None", "postgresql: 18.1, then 18.2")
