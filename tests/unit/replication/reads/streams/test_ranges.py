"""Which rows a page has, as statements; how large it is, and what is asked of its columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from replication.reads.streams.ranges import GROWTH, PageColumns, PageLimits, Ranges


def said(statement: sql.Composed) -> str:
    return " ".join(statement.as_string(None).split())


def ranges(*key: str, has_params: bool = False) -> Ranges:
    return Ranges(query="SELECT * FROM visit -- all", key=key, has_params=has_params)


def test_the_first_page_begins_at_the_beginning() -> None:
    assert said(ranges("id").page(None, 10)) == (
        "SELECT * FROM (SELECT * FROM visit -- all ) AS stream"
        ' ORDER BY "stream"."id" FETCH FIRST 10 ROWS WITH TIES'
    )


def test_the_next_begins_behind_the_last_key_of_all_columns_at_once() -> None:
    statement = said(ranges("ward", "id").page(("it's", "7"), 10))
    assert (
        """WHERE ("stream"."ward", "stream"."id") > ('it''s', '7')"""
        ' ORDER BY "stream"."ward", "stream"."id" FETCH'
    ) in statement


def test_a_comment_at_its_end_does_not_swallow_the_rest() -> None:
    assert "-- all\n) AS stream" in ranges("id").columns().as_string(None)


def test_with_parameters_a_percent_sign_in_a_key_is_no_placeholder() -> None:
    page = ranges("100%", has_params=True).page(("5%s",), 1)
    assert said(page).count('"100%%"') == 2
    assert "'5%%s'" in said(page)
    assert "'5%s'" in said(ranges("id").page(("5%s",), 1))


def test_rows_without_a_key_are_asked_for() -> None:
    assert said(ranges("a", "b").without_key()).endswith(
        'WHERE "stream"."a" IS NULL OR "stream"."b" IS NULL)'
    )


@given(
    rows_max=st.integers(1, 10**6),
    bytes_max=st.integers(1, 10**9),
    limit=st.integers(1, 10**6),
    rows=st.integers(1, 10**6),
    width=st.floats(0.5, 10**6),
)
def test_a_page_never_asks_for_more_than_fits(
    rows_max: int, bytes_max: int, limit: int, rows: int, width: float
) -> None:
    limits = PageLimits(rows_max=rows_max, bytes_max=bytes_max)
    assert 1 <= limits.first() <= rows_max
    asked = limits.next(limit, rows=rows, size_bytes=int(rows * width))
    assert 1 <= asked <= min(rows_max, GROWTH * limit)
    assert asked == 1 or asked * int(rows * width) <= bytes_max * rows


def test_columns_that_are_asked_for_as_text_and_a_key_that_is_added_as_text() -> None:
    asked = PageColumns(names=("id", "a", "a", "100%"), as_text=frozenset({3}), added=(0,))
    page = said(ranges("id", has_params=True).page(("7",), 10, asked))
    assert page == (
        'SELECT "stream"."id", "stream"."column 1", "stream"."column 2",'
        ' CASE WHEN num_nulls("stream"."100%%") = 0 THEN concat("stream"."100%%") END,'
        ' CASE WHEN num_nulls("stream"."id") = 0 THEN concat("stream"."id") END'
        " FROM (SELECT * FROM visit -- all ) AS stream"
        ' ("id", "column 1", "column 2", "100%%")'
        """ WHERE ("stream"."id") > ('7') ORDER BY "stream"."id" FETCH FIRST 10 ROWS WITH TIES"""
    )
