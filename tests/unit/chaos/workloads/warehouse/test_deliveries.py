"""Deliveries: new, late, corrected and repeated results, the same each time."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from chaos.workloads.warehouse.deliveries import (
    AGAIN_EVERY,
    LOOK_BACK,
    DeliveredResult,
    deliver,
    kind_of_delivery,
    value_of,
)

PATIENTS = 6_000


def delivered(number: int, *, source: str = "paris-0", results: int = 60) -> list[DeliveredResult]:
    return list(deliver(source, number, results=results, patients=PATIENTS))


@given(st.integers(1, 200), st.integers(10, 200))
def test_a_delivery_follows_from_its_number(number: int, results: int) -> None:
    one = delivered(number, results=results)
    assert one == delivered(number, results=results)
    assert len(one) == results
    assert len({result.record_key for result in one}) == results, "a key stands in it once"
    assert all(1 <= result.person <= PATIENTS for result in one)
    assert all(0 <= result.value < 1000 for result in one)


def test_every_sixth_is_the_one_before_once_more() -> None:
    assert kind_of_delivery(AGAIN_EVERY) == "again"
    assert delivered(AGAIN_EVERY) == delivered(AGAIN_EVERY - 1)
    assert delivered(2) != delivered(1)
    assert delivered(1, source="orsay-0") != delivered(1)


def test_what_is_corrected_and_what_is_late_belongs_to_what_was_delivered_before() -> None:
    known: dict[str, DeliveredResult] = {}
    stays: dict[str, int] = {}
    corrected = late = 0
    for number in range(1, 100):
        if kind_of_delivery(number) == "again":
            continue
        results = delivered(number)
        for result in results:
            before = known.get(result.record_key)
            if before is not None:
                corrected += 1
                assert result.version > before.version
                assert (result.person, result.visit_key) == (before.person, before.visit_key)
                assert result.taken_on == before.taken_on
            elif result.visit_key in stays and stays[result.visit_key] < number:
                late += 1
                assert stays[result.visit_key] >= number - LOOK_BACK - 1
        for result in results:
            known[result.record_key] = result
            stays.setdefault(result.visit_key, number)
    assert corrected > 300
    assert late > 300


def test_a_value_follows_from_key_and_version() -> None:
    assert value_of("paris-0/1/0", 1) == value_of("paris-0/1/0", 1) != value_of("paris-0/1/0", 2)
    assert value_of("a", 1) == value_of("a", 1).quantize(Decimal("0.01"))
