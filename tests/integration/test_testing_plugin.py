"""The pytest plugin, in runs of pytest of its own: what passes, what fails, and what is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 400.0
EXAMPLE = Path(__file__).parents[2] / "examples" / "pytest_project"

HEAD = """
import pytest, psycopg
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def run(folder: Path, *arguments: str, text: str | None = None) -> tuple[int, str]:
    """pytest on a folder, or on one module of it; its exit code and its output."""
    if text is not None:
        (folder / "test_it.py").write_text(HEAD + text)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )
    return done.returncode, done.stdout + done.stderr


def outcomes(output: str) -> dict[str, int]:
    """The last line of pytest: ``{"passed": 2, "failed": 1}``."""
    line = output.rstrip().splitlines()[-1]
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", line)}


@pytest.mark.slow
def test_the_example_project_passes() -> None:
    """The one in ``examples/``, as its README says."""
    code, output = run(EXAMPLE, "--bascule-seed", "7", "-v")
    assert code == 0, output
    for name in ("host-loss", "switchover"):
        assert f"test_booking_goes_on[{name}] PASSED" in output


BROKEN = """
@pytest.mark.survives("host-loss")
async def test_gives_up_at_once(patroni_cluster, chaos):
    with psycopg.connect(patroni_cluster.primary_url(), autocommit=True) as connection:
        while not chaos.struck:
            connection.execute("SELECT 1")
        connection.execute("SELECT 1")

@pytest.mark.survives("process-crash")
def test_is_over_too_soon():
    pass

@pytest.mark.survives("async-loss")
def test_needs_another_cluster():
    pass

def test_leaves_it_broken(patroni_cluster):
    patroni_cluster.kill_process("db-paris", "patroni")
    assert patroni_cluster.state().members["db-paris"] is None

def test_finds_it_whole(patroni_cluster):
    assert patroni_cluster.state().missing is None
    assert patroni_cluster.state().broken == ()
"""


@pytest.mark.slow
def test_a_test_that_does_not_survive_fails_and_shows_the_cluster(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--bascule-seed", "11", text=BROKEN)
    assert code == 1, output
    assert outcomes(output) == {"failed": 2, "passed": 2, "error": 1}, output
    assert "FAILED test_it.py::test_gives_up_at_once[host-loss]" in output
    assert "host-power-cut on db-" in output
    assert "again: --bascule-seed 11" in output
    assert "no answer" in output
    # A host that has lost its power may have a log of its init before the one of Patroni.
    assert re.search(r"-+ bascule: logs -+\n(?:.*\n)*?db-paris.patroni.log:", output)
    assert "the test ended before process-crash had struck" in output
    assert "the scenario async-loss needs durability='async'" in output


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ('"host-lost"', "no such scenario; there are host-loss, async-loss"),
        ("", "survives() names no scenario"),
        ('"host-loss", within=3', "survives() has no argument within; there is within_s"),
        ('"host-loss", within_s=-1', "survives(within_s=-1): expected seconds, 0 or more"),
        ('"mine.toml"', "mine.toml"),
    ],
)
def test_a_marker_that_says_nonsense_is_refused(tmp_path: Path, marker: str, words: str) -> None:
    code, output = run(
        tmp_path, text=f"@pytest.mark.survives({marker})\ndef test_it():\n    pass\n"
    )
    assert code == 2
    assert words in output
    assert "Traceback" not in output


def test_options_that_say_nonsense_are_refused(tmp_path: Path) -> None:
    text = "def test_it(patroni_cluster):\n    pass\n"
    code, output = run(tmp_path, "--bascule-sites", "9", text=text)
    assert code != 0
    assert "sites=9: expected 2 or 3" in output
    code, output = run(tmp_path, "--bascule-mode", "cloud", text=text)
    assert code == 4
    assert "invalid choice: 'cloud'" in output


def test_the_plugin_documents_itself_and_costs_nothing_unused(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--markers")
    assert code == 0
    assert "@pytest.mark.survives(*scenarios, within_s=0.5): run the test once" in output
    (tmp_path / "test_unused.py").write_text(
        "import sys\n"
        "def test_nothing_is_loaded():\n"
        "    heavy = ('replication', 'cluster', 'psycopg', 'chaos.', 'testcontainers', 'docker')\n"
        "    loaded = {name for name in sys.modules if name.startswith(heavy)}\n"
        "    assert loaded == {'chaos.testing', 'chaos.testing.plugin'}\n"
    )
    code, output = run(tmp_path, "test_unused.py")
    assert code == 0, output
