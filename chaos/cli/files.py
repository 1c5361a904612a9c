"""Files that a user asks for."""

from __future__ import annotations

from pathlib import Path

from chaos.errors import OutputError


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, and say so.

    Raises:
        OutputError: it exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise OutputError(f"{path} exists; it was not touched") from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    print(f"wrote {path}")
