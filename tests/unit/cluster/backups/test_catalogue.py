"""Which backups a restore needs, and which may go: never the last good one, never a parent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.backups.catalogue import (
    BackupRecord,
    chain,
    first_segment,
    is_good,
    is_name,
    name_of,
    newest_good,
    parent_for,
    to_delete,
)
from cluster.errors import BackupError

DAY_S = 86_400.0


def record(
    name: str, day: float, parent: str | None = None, broken: str | None = None
) -> BackupRecord:
    return BackupRecord(
        name=name,
        begun_s=day * DAY_S,
        verified_s=day * DAY_S + 60,
        version="18.6",
        wal_segment=f"{1:08X}{int(day):016X}",
        parent=parent,
        broken=broken,
    )


FULL_0 = record("full-0", 0)
INC_1 = record("inc-1", 1, "full-0")
INC_2 = record("inc-2", 2, "inc-1")
FULL_7 = record("full-7", 7)
INC_8 = record("inc-8", 8, "full-7")
TWO_WEEKS = (FULL_0, INC_1, INC_2, FULL_7, INC_8)


def names(found: tuple[BackupRecord, ...]) -> list[str]:
    return [one.name for one in found]


def test_a_restore_needs_the_full_one_first() -> None:
    assert names(chain(TWO_WEEKS, "inc-2")) == ["full-0", "inc-1", "inc-2"]
    assert names(chain(TWO_WEEKS, "full-7")) == ["full-7"]


def test_a_backup_without_its_parent_is_refused() -> None:
    with pytest.raises(BackupError, match="there is no backup inc-1, on which inc-2 stands"):
        chain((FULL_0, INC_2), "inc-2")
    with pytest.raises(BackupError, match="there is no backup inc-9"):
        chain(TWO_WEEKS, "inc-9")


def test_a_backup_on_a_broken_one_is_refused() -> None:
    broken = replace(INC_1, broken="a checksum differs")
    with pytest.raises(BackupError, match="inc-1 is no good: a checksum differs"):
        chain((FULL_0, broken, INC_2), "inc-2")
    assert newest_good((FULL_0, broken, INC_2)) == FULL_0


def test_backups_that_stand_on_each_other_end_in_an_error() -> None:
    with pytest.raises(BackupError, match="stand on each other"):
        chain((record("a", 0, "b"), record("b", 1, "a")), "a")


@pytest.mark.parametrize(("now", "parent"), [(2.5, INC_2), (6.9, INC_2), (7.0, None), (30.0, None)])
def test_a_full_backup_is_due_again(now: float, parent: BackupRecord | None) -> None:
    """Counted from the full one, not from what stands on it."""
    assert parent_for((FULL_0, INC_1, INC_2), now * DAY_S, 7 * DAY_S) == parent
    assert parent_for((), now * DAY_S, 7 * DAY_S) is None


def test_whole_families_go_and_the_youngest_first() -> None:
    assert names(to_delete(TWO_WEEKS, keep=1)) == ["inc-2", "inc-1", "full-0"]
    assert to_delete(TWO_WEEKS, keep=2) == ()


def test_the_last_good_full_backup_stays_although_a_newer_one_is_broken() -> None:
    broken = replace(FULL_7, broken="a checksum differs")
    assert to_delete((FULL_0, INC_1, broken), keep=1) == ()


def test_where_nothing_is_good_nothing_is_deleted() -> None:
    broken = tuple(replace(one, broken="a checksum differs") for one in TWO_WEEKS)
    assert to_delete(broken, keep=1) == ()


def test_the_wal_is_kept_from_the_oldest_backup_on_whatever_its_timeline() -> None:
    later = replace(FULL_7, wal_segment="00000003" + "0" * 15 + "4")
    assert first_segment((later, INC_8)) == later.wal_segment
    assert first_segment(()) is None


def test_names_sort_by_age() -> None:
    first, second = name_of(1_795_790_000.0, None), name_of(1_795_790_000.5, "x")
    assert first == "20261127T143320.000Z-full"
    assert first < second
    assert is_name(first)
    assert not is_name("1")
    assert not is_name("pg_wal")


backups = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 20)), min_size=1, max_size=12
).map(
    lambda drawn: tuple(
        record(
            f"{index}",
            index,
            None if is_full or index == 0 else f"{back % index}",
            "broken" if is_broken else None,
        )
        for index, (is_full, is_broken, back) in enumerate(drawn)
    )
)


@given(backups, st.integers(1, 5))
def test_retention_leaves_what_can_be_restored(found: tuple[BackupRecord, ...], keep: int) -> None:
    gone = set(to_delete(found, keep))
    left = [one for one in found if one not in gone]
    good = [one for one in found if one.is_full and is_good(found, one)]
    for one in good[-keep:]:
        assert one not in gone, "the newest good full backups are kept"
    for one in left:
        assert is_good(left, one) == is_good(found, one), "no parent of what is left is gone"
    if newest_good(found) is not None:
        assert newest_good(left) is not None
    # Deleted in this order, whatever interrupts it leaves none without its parent.
    order = list(to_delete(found, keep))
    for index in range(len(order)):
        rest = [one for one in found if one not in order[:index]]
        assert all(is_good(rest, one) == is_good(found, one) for one in rest)
