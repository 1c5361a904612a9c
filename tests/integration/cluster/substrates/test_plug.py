"""A substrate is one file and one line: with them, a copy of this project drills on another one."""

from __future__ import annotations

import json
import subprocess

import pytest
from support.commands.commands import LOW_LOAD
from support.house.house_copy import HouseCopy, copy_house

pytestmark = pytest.mark.slow

TWIN = """
from dataclasses import replace

from cluster.substrates.lab.kind import LAB

TWIN = replace(
    LAB,
    key="twin",
    sites="a lab under another name",
    own_postgres="a twin brings its own",
    limits=("A twin proves what a lab proves.",),
)
"""
LINE = "        __import__('cluster.substrates.twin', fromlist=['TWIN']).TWIN,"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> HouseCopy:
    """The project, with one file and one line more."""
    copy = copy_house(tmp_path_factory.mktemp("copied") / "house")
    copy.add_file("cluster/substrates/twin.py", TWIN)
    copy.add_line("cluster/substrates/registry.py", "        COMPOSE,", LINE)
    return copy


def bascule_of(copy: HouseCopy, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command of a copy."""
    return copy.python("-m", "chaos", *arguments, timeout_s=200)


def test_it_is_drilled_on_and_says_what_it_cannot_prove(copy: HouseCopy) -> None:
    run = copy.folder / "run"
    options = ("--substrate", "twin", "--seed", "7", *LOW_LOAD, "--out", str(run))
    done = bascule_of(copy, "drill", "steady", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "run.json").read_text())["substrate"]["name"] == "twin"
    report = (run / "report.html").read_text()
    assert "A twin proves what a lab proves." in report
    assert "share its processors" not in report  # the lab's own words
    assert "no lab is up there" in bascule_of(copy, "enter", str(run)).stderr


def test_the_command_line_knows_it(copy: HouseCopy) -> None:
    said = " ".join(bascule_of(copy, "drill", "--help").stdout.split())
    assert "[lab|compose|twin]" in said
    assert "or a lab under another name" in said
    done = bascule_of(copy, "drill", "--substrate", "twin", "--pg-bindir", "/nowhere")
    assert done.returncode == 2
    assert "--pg-bindir is for --substrate lab; a twin brings its own" in done.stderr
