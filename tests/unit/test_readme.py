"""What pages tell a newcomer to type is there: benchmarks with their figures, extras to install."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_bench_runs_the_commands_that_stand_beside_the_figures() -> None:
    every = runpy.run_path(str(ROOT / "benchmarks" / "all.py"))
    measured = README.split("## Measured")[1].split("## ")[0]
    named = set(re.findall(r"`python benchmarks/([^`]+)`", measured))
    assert named == {*every["BENCHMARKS"], *every["WITH_DOCKER"]} - {"sync_overhead.py"}


def test_what_pip_is_told_to_install_can_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in (
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*/README.md"),
    ):
        for what in re.findall(r"pip install '?([^'`\s]+)", page.read_text(encoding="utf-8")):
            found = re.fullmatch(r"(?:\.|\.\./\.\.|/path/to/bascule)(?:\[([a-z,]+)\])?", what)
            assert found, f"{page.name}: {what} is on no index"
            extras = set(found[1].split(",")) if found[1] else set()
            assert extras <= project["optional-dependencies"].keys(), f"{page.name}: {what}"
