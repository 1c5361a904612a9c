"""Files that a user asks for."""

from __future__ import annotations

import sys
from pathlib import Path

from chaos.errors import OutputError


def refuse_existing(path: Path) -> None:
    """Look before long work whether its file can be written after it.

    Raises:
        OutputError: it exists.
    """
    if path.exists():
        raise _existing(path)


def _existing(path: Path) -> OutputError:
    return OutputError(f"{path} exists; it was not touched")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, and say so on the standard error.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise _existing(path) from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    print(f"wrote {path}", file=sys.stderr)
