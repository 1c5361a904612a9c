"""Which operations two sites send under one id: a rule that all load processes know alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.workloads.pacing import pacers
from chaos.workloads.shared import SHARED_EVERY, partner, shared_every, shared_unit

NAMES = ("paris", "orsay", "saint-cloud", "evry", "massy", "gif", "bures")
EVERY = 10


def _callers(count: int, slots: int) -> dict[str, list[tuple[str, int]]]:
    """Unit to the sites that send it, each with its slot."""
    callers = defaultdict(list)
    for slot in range(slots):
        for site in NAMES[:count]:
            unit = shared_unit(NAMES[:count], site, 0, slot, EVERY)
            if unit is not None:
                callers[unit].append((site, slot))
    return callers


@pytest.mark.parametrize("count", range(2, 8))
def test_every_unit_has_two_callers_of_different_sites_a_slot_apart_at_most(count: int) -> None:
    callers = _callers(count, slots=EVERY * count * 4 * 3)
    assert {len(two) for two in callers.values()} == {2}
    for (one, at), (other, then) in callers.values():
        assert one != other
        assert then - at in {0, 1}
    apart = Counter(two[1][1] - two[0][1] for two in callers.values())
    assert apart[0] > 0
    assert apart[1] == pytest.approx(apart[0], rel=0.1), "every other turn"
    late = {two[1][0] for two in callers.values() if two[1][1] > two[0][1]}
    assert late == set(NAMES[:count]), "every site is once the second one"


@pytest.mark.parametrize("count", range(2, 8))
def test_every_two_sites_meet_and_no_site_meets_two_at_once(count: int) -> None:
    met = set()
    for round_ in range(count):
        pairs = {site: partner(site, round_, count) for site in range(count)}
        for site, other in pairs.items():
            if other is not None:
                assert pairs[other] == site != other
                met.add(frozenset((site, other)))
        idle = [site for site, other in pairs.items() if other is None]
        assert len(idle) == count % 2
    assert met == {frozenset(pair) for pair in combinations(range(count), 2)}


@pytest.mark.parametrize(("count", "share"), [(2, 1 / 10), (3, 2 / 30), (4, 1 / 10), (5, 4 / 50)])
def test_the_share_of_a_workers_operations(count: int, share: float) -> None:
    slots = EVERY * count * 30
    sent = sum(len(two) for two in _callers(count, slots).values())
    assert sent / (slots * count) == pytest.approx(share, rel=0.01)


def test_workers_share_with_the_worker_of_their_own_number() -> None:
    [both] = [{shared_unit(NAMES[:2], "paris", worker, 0, EVERY) for worker in (0, 1)} for _ in "x"]
    assert both == {"paris+orsay-0-0", "paris+orsay-1-0"}


def test_nobody_shares_alone_nor_a_bulk_load() -> None:
    assert {shared_unit(NAMES[:1], "paris", 0, slot, EVERY) for slot in range(50)} == {None}
    assert {shared_unit(NAMES[:2], "paris", 0, slot, 0) for slot in range(50)} == {None}
    assert shared_every("ledger", 1) == shared_every("bulk", 3) == 0
    assert shared_every("ledger", 2) == shared_every("transfers", 3) == SHARED_EVERY


@given(
    st.floats(0.0, 1e6),
    st.floats(0.0, 30.0),
    st.lists(st.floats(0.0, 25.0), max_size=4),
    st.integers(1, 4),
)
def test_processes_are_at_the_same_slot_at_the_same_time(
    begin_s: float, later_s: float, outages_s: list[float], workers: int
) -> None:
    """One began earlier, the other one had outages: what is due now has the same number."""
    early, late = (
        pacers(start_s=start_s, rate_per_s=100, workers=workers, seed=seed, site=site)[0]
        for start_s, seed, site in ((begin_s, 1, "paris"), (begin_s + later_s, 2, "orsay"))
    )
    now_s = begin_s + later_s
    for outage_s in outages_s:
        now_s += late.delay_s(now_s) + outage_s
    now_s += 1.0  # longer than what is caught up: both skip what they missed
    for pacer in (early, late):
        pacer.delay_s(now_s)
    assert abs(early.slot - late.slot) <= 1
    assert early.slot == pytest.approx(now_s / early.interval_s, abs=1.5)
