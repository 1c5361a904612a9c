"""Byte order marks: bytes at the beginning of a file that do not belong to its first value. Pure.

PostgreSQL takes the mark of UTF-8 for a character like any other (U+FEFF, zero width), so in a text
column it would be invisible, and a search would not find the value (Unicode Standard, 23.8, "Byte
Order Mark"). Programs on Windows write it before every file; concatenated files have it in the
middle.
"""

from __future__ import annotations

import re

UTF8_MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 4
"""How much of the file's beginning must be read."""

_ICONV = "; convert it first (iconv -f {0} -t UTF-8)"

_MARKS = (  # the longer ones first: that of UTF-32 begins with that of UTF-16
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\x84\x31\x95\x33", "GB18030"),
)

_WITHOUT_MARK = (  # the first two characters are ASCII, which no text in UTF-8 shows with zeros
    (re.compile(rb"[^\0]\0\0\0", re.DOTALL), "UTF-32LE"),
    (re.compile(rb"\0\0\0[^\0]", re.DOTALL), "UTF-32BE"),
    (re.compile(rb"[^\0]\0[^\0]\0", re.DOTALL), "UTF-16LE"),
    (re.compile(rb"\0[^\0]\0[^\0]", re.DOTALL), "UTF-16BE"),
)

_AT_A_LINES_BEGINNING = re.compile(rb"(?:\A|(?<=[\r\n]))" + UTF8_MARK)


def mark_bytes(head: bytes, encoding: str) -> int:
    """How many bytes precede the first record.

    Args:
        head: the file's first ``HEAD_BYTES``.
        encoding: PostgreSQL's name of the encoding that the file is given as.

    Raises:
        ValueError: it has another encoding; the message names it, and the remedy.
    """
    for mark, found in _MARKS:
        if head.startswith(mark):
            words = f"begins with the byte order mark of {found}, its encoding is to be {encoding}"
            raise ValueError(words + _ICONV.format(found))
    for shape, found in _WITHOUT_MARK:
        if shape.fullmatch(head):
            words = f"seems to be {found}, its encoding is to be {encoding}"
            raise ValueError(words + _ICONV.format(found))
    if not head.startswith(UTF8_MARK):
        return 0
    if encoding != "UTF8":
        raise ValueError(
            f"begins with the byte order mark of UTF-8, its encoding is to be {encoding}: load it"
            " as UTF8, or take the mark out"
        )
    return len(UTF8_MARK)


def stray_mark(data: bytes, quote: bytes | None, *, after: int = 0) -> int | None:
    """Where a record of ``data`` begins with a mark, or None.

    Inside quotes, and behind a value's first character, it is a character like any other.

    Args:
        data: begins with a record.
        quote: that of CSV; None for text.
        after: the bytes at the beginning that are not looked at.
    """
    if data.find(UTF8_MARK, after) < 0:
        return None
    for found in _AT_A_LINES_BEGINNING.finditer(data, after):
        at = found.start()
        if quote is None:
            is_inside = at > 0 and is_escaped(data, at - 1)
        else:
            is_inside = data.count(quote, 0, at) % 2 == 1
        if not is_inside:
            return at
    return None


def is_escaped(data: bytes, at: int) -> bool:
    """Whether an odd number of backslashes precedes ``at``."""
    backslashes = at
    while backslashes > 0 and data[backslashes - 1 : backslashes] == b"\\":
        backslashes -= 1
    return (at - backslashes) % 2 == 1
