"""Tests of SQLAlchemy's suite that our engines do not pass, one by one, each with the reason.

They are run all the same: one that passes fails the run, so that it is taken out of here.
"""

from __future__ import annotations

_STREAM = (
    "SQLAlchemy's own create_async_engine refuses server_side_cursors for a whole engine"
    " (AsyncMethodRequired); with AsyncConnection.stream() they work"
)

_SERVER_SIDE_CURSORS = (
    "test_roundtrip_fetchall",
    "test_roundtrip_fetchmany",
    "test_ss_cursor_status[for_update_expr]",
    "test_ss_cursor_status[for_update_string]",
    "test_ss_cursor_status[global_expr]",
    "test_ss_cursor_status[global_string]",
    "test_ss_cursor_status[global_text]",
    "test_ss_cursor_status[stmt_option_disabled]",
)

EXCEPTIONS: dict[str, dict[str, str]] = {
    "sync": {},
    "async": {f"ServerSideCursorsTest::{test}": _STREAM for test in _SERVER_SIDE_CURSORS},
}
"""By the kind of engines, and "class::test"."""
