"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Through a file beside it and a rename, so that a reader never sees half of it.

    Raises:
        OSError: it cannot be written; names ``path``.
    """
    beside = part_of(path)
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def part_of(path: Path) -> Path:
    """Where a file grows before it takes its name."""
    return path.with_name(f".{path.name}.part")
