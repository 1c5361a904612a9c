"""The pytest plugin, in runs of pytest of its own: what passes, what fails, and what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.commands.pytest_runs import complaints, outcomes, run, write

EXAMPLE = Path(__file__).parents[4] / "examples" / "pytest_project"

HEAD = """
import pytest, psycopg
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def run_module(folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    """pytest on one module, with the head that all of them need."""
    write(folder, {"test_it.py": HEAD + text})
    return run(folder, *arguments)


@pytest.mark.slow
def test_the_example_project_passes() -> None:
    """The one in ``examples/``, as its README says."""
    code, output = run(EXAMPLE, "--bascule-seed", "7", "-v")
    assert code == 0, complaints(output)
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
    assert patroni_cluster.wait_healthy().broken == ()
"""


@pytest.mark.slow
def test_a_test_that_does_not_survive_fails_and_shows_the_cluster(tmp_path: Path) -> None:
    code, output = run_module(tmp_path, BROKEN, "--bascule-seed", "11")
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


ENDED = """
def test_ends_the_cluster(patroni_cluster):
    patroni_cluster._backend._lab.end()

def test_has_a_new_one(patroni_cluster):
    patroni_cluster.wait_healthy()
    with psycopg.connect(patroni_cluster.primary_url()) as connection:
        connection.execute("CREATE TABLE fresh (id int)")

async def test_and_so_has_its_storage(storage):
    assert storage is not None
"""


@pytest.mark.slow
def test_a_cluster_that_ended_is_replaced_before_the_next_test(tmp_path: Path) -> None:
    code, output = run_module(tmp_path, ENDED)
    assert code == 1, output
    assert outcomes(output) == {"passed": 3, "error": 1}, output
    assert "ERROR at teardown of test_ends_the_cluster" in output
    assert "the cluster was not whole after this test: the lab has ended with" in output
    assert "It was replaced by a new one." in output


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
    text = f"@pytest.mark.survives({marker})\ndef test_it():\n    pass\n"
    code, output = run_module(tmp_path, text)
    assert code == 2
    assert words in output
    assert "Traceback" not in output


def test_options_that_say_nonsense_are_refused(tmp_path: Path) -> None:
    text = "def test_it(patroni_cluster):\n    pass\n"
    for sites in ("9", "0"):
        code, output = run_module(tmp_path, text, "--bascule-sites", sites)
        assert code != 0
        assert f"sites={sites}: expected 2 or 3" in output
    code, output = run_module(tmp_path, text, "--bascule-mode", "cloud")
    assert code == 4
    assert "invalid choice: 'cloud'" in output


def test_the_plugin_documents_itself_and_costs_nothing_unused(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--markers")
    assert code == 0
    assert "@pytest.mark.survives(*scenarios, within_s=0.5): run the test once" in output
    unused = """
import sys

def test_nothing_is_loaded():
    heavy = ("replication", "cluster", "psycopg", "chaos", "testcontainers", "docker")
    assert "pytest_bascule" in sys.modules
    assert [name for name in sys.modules if name.startswith(heavy)] == []
"""
    write(tmp_path, {"test_unused.py": unused})
    code, output = run(tmp_path)
    assert code == 0, output
