"""Positions in the WAL, and its timelines, as PostgreSQL writes them. Pure."""

from __future__ import annotations


def parse_lsn(text: str) -> int:
    """``"0/3000060"`` as bytes from the start of the WAL (PostgreSQL manual, 8.20 pg_lsn).

    Raises:
        ValueError: the text is not an LSN.
    """
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"not an LSN: {text!r}")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: int) -> str:
    """The inverse of ``parse_lsn``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def timeline_of(wal_file: str) -> int:
    """The timeline of a WAL file, which is the first eight hexadecimal digits of its name.

    ``pg_walfile_name(pg_current_wal_insert_lsn())`` is the file that the server is inserting into.
    ``pg_control_checkpoint()`` still shows the old timeline after a promotion until the next
    checkpoint has ended.
    """
    return int(wal_file[:8], 16)
