"""A docker client of a test's own: a script first on PATH, for what no real engine does at will."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class FakeClient:
    """Writes down each call and its environment, and does what the test's script says.

    Args:
        folder: where it is; new.
        script: in POSIX sh; ``$here`` is the folder, the client's arguments are ``$@``.
    """

    def __init__(self, folder: Path, script: str) -> None:
        folder.mkdir()
        self.folder = folder
        program = folder / "docker"
        program.write_text(
            f"#!/bin/sh\nhere='{folder}'\nprintf '%s\\n' \"$*\" >>\"$here/calls\"\n"
            f'env >>"$here/environment"\n{script}\n'
        )
        program.chmod(0o755)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it first on PATH."""
        monkeypatch.setenv("PATH", f"{self.folder}:{os.environ['PATH']}")

    @property
    def calls(self) -> list[str]:
        """The arguments of every call so far, one line each."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def environment(self) -> list[str]:
        """The lines of every call's environment."""
        return (self.folder / "environment").read_text().splitlines()
