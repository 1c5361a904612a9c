"""Runs of pytest of their own, for the tests of the plugin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 400.0
TESTS = Path(__file__).parents[2]
CI_NAMES = ("CI", "BUILD_NUMBER")  # with them pytest says each failure twice, whole


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """pytest on a folder, as of somebody who has installed Bascule; its exit code and output."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") and name not in CI_NAMES
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=mine,
    )
    return done.returncode, done.stdout + done.stderr


def write(folder: Path, files: Mapping[str, str]) -> None:
    """The files of a project, by path."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def outcomes(output: str) -> dict[str, int]:
    """The last line of pytest: ``{"passed": 2, "failed": 1}``."""
    line = output.rstrip().splitlines()[-1]
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", line)}


def complaints(output: str) -> str:
    """Of a run that failed: its errors, what struck the cluster, and which tests failed."""
    wanted = re.compile(r"E  |FAILED |ERROR | *\d+\.\d\d s  |again: |=+ .* in \d")
    return "\n".join(line for line in output.splitlines() if wanted.match(line))
