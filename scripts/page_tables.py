"""Tables of a page, written between ``<!-- table:NAME -->`` and ``<!-- /table -->``.

The text around them is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(page: Path, tables: Mapping[str, str]) -> int:
    """Write them into the page, or with ``--check`` see whether they are fresh; the exit code.

    Raises:
        ValueError: the page has not exactly one place for a table.
    """
    text = page.read_text(encoding="utf-8")
    fresh = text
    for name, rows in tables.items():
        pattern = rf"(<!-- table:{name} -->\n).*?(\n<!-- /table -->)"
        new = rows.replace("\\", r"\\")
        fresh, count = re.subn(pattern, rf"\g<1>{new}\g<2>", fresh, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{page} has {count} places for the table {name}")
    if "--check" in sys.argv[1:]:
        return 0 if text == fresh else 1
    page.write_text(fresh, encoding="utf-8")
    return 0
