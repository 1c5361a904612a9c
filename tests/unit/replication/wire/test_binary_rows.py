"""The rows of a COPY in binary, without what stands before and behind them, however it came."""

from __future__ import annotations

from array import array

import pytest

from replication.wire.pages import PADDING, rows_of_copy

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
EXTENDED = b"PGCOPY\n\xff\r\n\0" + bytes(7) + b"\3" + b"ext"
TRAILER = b"\xff\xff"
ONE = b"\0\2" + b"\0\0\0\2hi" + b"\xff\xff\xff\xff"
ENDS_ALIKE = b"\0\1" + b"\0\0\0\2\xff\xff"


@pytest.mark.parametrize("header", [HEADER, EXTENDED])
@pytest.mark.parametrize("rows", [[], [ONE], [ONE, ENDS_ALIKE], [ENDS_ALIKE, ENDS_ALIKE]])
@pytest.mark.parametrize("alone", [True, False])
def test_header_and_trailer_are_no_rows(header: bytes, rows: list[bytes], alone: bool) -> None:
    """The header comes in a message of its own, or in that of the first row."""
    messages = [header, *rows, TRAILER]
    if not alone:
        messages[:2] = [header + messages[1]]
    found = rows_of_copy(bytearray(b"".join(messages)), array("q", map(len, messages)))
    assert list(found.sizes) == [len(row) for row in rows]
    assert found.data[found.begin :] == b"".join(rows) + bytes(PADDING)
    if rows:
        assert found.last() == ([b"hi", None] if rows[-1] == ONE else [b"\xff\xff"])
    else:
        assert found.last() == []


def test_a_copy_that_has_failed_has_no_rows() -> None:
    found = rows_of_copy(bytearray(), array("q"))
    assert (list(found.sizes), found.last()) == ([], [])
