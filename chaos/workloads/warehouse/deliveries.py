"""What the hospital's systems deliver: every delivery follows from its source and number. Pure.

A delivery is a batch of results, each of a stay of one patient. Most are new. Some come late: they
belong to a stay of an earlier delivery. Some correct a result that was delivered before: the same
key, a higher version. And every sixth delivery is the one before it once more, as a whole: what an
interface engine sends again after it was restarted. It must change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

DeliveryKind = Literal["new", "again"]

AGAIN_EVERY = 6
"""One delivery in so many is the one before it again."""

STAY_RESULTS = 5
"""Results of one stay in a delivery."""
LATE_PLACE, CORRECTED_PLACE = 8, 9
"""Of ten results these are late, or correct one of the first eight of ten."""
LOOK_BACK = 8
"""How many deliveries back what is late, or corrected, belongs at most."""

FIRST_DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredResult:
    """A result as a source delivers it."""

    record_key: str
    version: int
    """The number of the delivery that had it first, or corrected it."""
    visit_key: str
    person: int
    taken_on: date

    @property
    def value(self) -> Decimal:
        """What was measured; follows from key and version, so that every copy can be checked."""
        return value_of(self.record_key, self.version)


def kind_of_delivery(number: int) -> DeliveryKind:
    """Deliveries count from 1."""
    return "again" if number % AGAIN_EVERY == 0 else "new"


def deliver(source: str, number: int, *, results: int, patients: int) -> Iterator[DeliveredResult]:
    """The results of one delivery.

    Args:
        source: which system of which site.
        number: counts from 1.
        results: how many.
        patients: they belong to persons from 1 to here.
    """
    if kind_of_delivery(number) == "again":
        yield from deliver(source, number - 1, results=results, patients=patients)
        return
    earlier = _earlier(source, number)
    for place in range(results):
        of, at = number, place
        is_late = place % 10 == LATE_PLACE and earlier is not None
        if place % 10 == CORRECTED_PLACE and earlier is not None:
            of, at = earlier, place - 9 + _draw(source, number, place) % LATE_PLACE
        stay_of = earlier if is_late and earlier is not None else of
        visit_key = f"{source}/{stay_of}/{at // STAY_RESULTS}"
        yield DeliveredResult(
            record_key=f"{source}/{of}/{at}",
            version=number,
            visit_key=visit_key,
            person=_draw(visit_key) % patients + 1,
            taken_on=FIRST_DAY + timedelta(days=stay_of),
        )


def value_of(record_key: str, version: int) -> Decimal:
    """``feed.value_of`` computes the same on the server."""
    digest = hashlib.md5(f"{record_key}/{version}".encode(), usedforsecurity=False).hexdigest()
    return Decimal(int(digest[:6], 16) % 100_000) / 100


def _earlier(source: str, number: int) -> int | None:
    """A delivery before ``number`` that had new results; None: there is none."""
    back = 1 + _draw(source, number) % LOOK_BACK
    found = max(1, number - back)
    if kind_of_delivery(found) == "again":
        found -= 1
    return found if found < number else None


def _draw(*of: object) -> int:
    digest = hashlib.md5("/".join(map(str, of)).encode(), usedforsecurity=False).hexdigest()
    return int(digest[:12], 16)
