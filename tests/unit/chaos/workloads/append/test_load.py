"""What the append workload draws, and how it writes it down."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.workloads.append.load import (
    APPENDS_A_LIST,
    OLDER_S_MAX,
    OPS_MAX,
    Shelf,
    draw_micro_ops,
    unit_of,
)
from chaos.workloads.append.micro import (
    MicroOp,
    list_parsed,
    lists_parsed,
    lists_written,
    parsed,
    written,
)
from chaos.workloads.config import LoadConfig

MICRO_OPS = st.builds(
    MicroOp,
    key=st.integers(0, 2**40),
    value=st.none() | st.integers(0, 2**40),
    by_tag=st.booleans(),
)
SHELF = Shelf(keys=6, life_s=1.2)


@given(st.lists(MICRO_OPS, max_size=5).map(tuple))
def test_micro_operations_are_read_as_they_were_written(micro_ops: tuple[MicroOp, ...]) -> None:
    assert parsed(written(micro_ops)) == micro_ops


@given(st.lists(st.lists(st.integers(0, 9)).map(tuple), min_size=1))
def test_lists_are_read_as_they_were_written(lists: list[tuple[int, ...]]) -> None:
    text = lists_written([",".join(map(str, one)) for one in lists])
    assert list(lists_parsed(text)) == lists


@pytest.mark.parametrize("text", ["append 1", "read", "read x", "write 1 2", "read 1 by name"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither an append nor a read|invalid literal"):
        parsed(text)


def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list_parsed("1,,2")


def test_transactions_take_their_lists_in_the_order_of_their_keys() -> None:
    rng = random.Random(1)
    drawn = [draw_micro_ops(rng, SHELF, 1000.0, n * 8) for n in range(500)]
    assert {len(one) for one in drawn} == set(range(1, OPS_MAX + 1))
    assert all([m.key for m in one] == sorted(m.key for m in one) for one in drawn)
    values = [micro.value for one in drawn for micro in one if micro.value is not None]
    assert len(values) == len(set(values)), "no number is appended twice"
    assert {micro.by_tag for one in drawn for micro in one} == {True, False}
    assert all(m.value is None for m in draw_micro_ops(rng, SHELF, 1000.0, None))


def test_all_sites_use_the_same_few_lists_and_now_and_then_an_older_one() -> None:
    rng = random.Random(1)
    keys = [SHELF.draw(rng, 1000.0) for _ in range(2000)]
    current = {key for key in keys if keys.count(key) > 100}
    assert len(current) == SHELF.keys
    older = [key for key in keys if key not in current]
    assert 0.1 < len(older) / len(keys) < 0.3
    assert min(keys) >= (1000.0 - OLDER_S_MAX) / SHELF.life_s * SHELF.keys - SHELF.keys
    assert {SHELF.draw(rng, 0.0) for _ in range(50)} <= set(range(2 * SHELF.keys))


def test_a_list_is_in_use_for_as_long_as_it_stays_short() -> None:
    config = LoadConfig.from_line(
        json.dumps(
            {
                "site": "x",
                "members": [],
                "user": "u",
                "password": "p",
                "dbname": "d",
                "rate_per_s": 20,
                "workers": 2,
                "seed": 1,
                "deadline_s": 9,
                "history_path": "h",
                "sites": ["x", "y", "z"],
            }
        )
    )
    shelf = Shelf.of(config, 6)
    appends_per_s = 20 * 3 * (1 + OPS_MAX) / 2 / 2
    assert appends_per_s * shelf.life_s / shelf.keys == pytest.approx(APPENDS_A_LIST / 0.8)


def test_a_unit_that_only_reads_leaves_no_entry() -> None:
    reads = unit_of("x", parsed("read 1; read 2"), "repeatable-read")
    assert (reads.leaves_entry, reads.isolation) == (False, "repeatable read")
    assert unit_of("x", parsed("read 1; append 2 3"), "serializable").leaves_entry
    assert reads.about == {"op": "txn", "txn": "read 1; read 2"}
