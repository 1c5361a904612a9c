"""The plugin in runs of pytest of its own, on a cluster of nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.commands.pytest_runs import TESTS, outcomes, run, write

CONFTEST = f"""
import sys
sys.path.append({str(TESTS)!r})

import pytest
from support.lab.fake_cluster import FakeCluster
from chaos.testing import plugin

CLUSTER = FakeCluster()
plugin.make_cluster = lambda config, options: CLUSTER

@pytest.fixture
def calls():
    return CLUSTER.calls
"""


def run_project(
    folder: Path, files: Mapping[str, str], *arguments: str
) -> tuple[dict[str, int], str]:
    """The outcomes and the output of a project's tests."""
    write(folder, {"conftest.py": CONFTEST, **files})
    _, output = run(folder, *arguments)
    return outcomes(output), output


# ---- the marker ----

MARKED = """
import pytest

@pytest.mark.survives("host-loss", "process-crash", within_s=0)
def test_it(chaos):
    while not chaos.struck:
        pass

@pytest.mark.survives("host-loss", within_s=0)
class TestOfAClass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_it(self, number, chaos):
        while not chaos.struck:
            pass

def test_without(chaos):
    assert chaos.struck
"""


def test_a_marked_test_runs_once_for_each_scenario(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": MARKED}, "-v")
    assert found == {"passed": 5}, output
    for name in ("test_it[host-loss]", "test_it[process-crash]", "test_it[host-loss-1]"):
        assert f"::{name} PASSED" in output


UNNAMED = """
import pytest

@pytest.mark.survives("host-loss", within_s=0)
def test_that_names_no_fixture_of_ours(request):
    while not request.node.funcargs["_bascule_ordeal"].struck:
        pass

def test_that_comes_next(calls):
    assert calls[:3] == ["start", "strike host-power-cut primary", "heal"]
    assert calls[-1] == "wait_healthy"
"""


def test_a_marked_test_need_not_name_the_cluster(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": UNNAMED})
    assert found == {"passed": 2}, output


BASE = """
import pytest

class Base:
    def test_inherited(self, chaos):
        while not chaos.struck:
            pass

@pytest.mark.survives("host-loss", within_s=0)
class TestMarked(Base):
    pass

class TestUnmarked(Base):
    pass
"""
SHARED = """
def test_shared(chaos):
    while not chaos.struck:
        pass
"""
SHARING = """
import pytest
from shared import test_shared
pytestmark = pytest.mark.survives("host-loss", within_s=0)
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"test_both.py": BASE},
            {"TestMarked::test_inherited[host-loss]", "TestUnmarked::test_inherited"},
        ),
        (
            {
                "shared.py": SHARED,
                "test_marked.py": SHARING,
                "test_unmarked.py": "from shared import test_shared\n",
            },
            {"test_marked.py::test_shared[host-loss]", "test_unmarked.py::test_shared"},
        ),
    ],
    ids=["a base class", "a function of two modules"],
)
def test_a_marker_stays_where_it_is(
    tmp_path: Path, files: dict[str, str], expected: set[str]
) -> None:
    found, output = run_project(tmp_path, files, "-v")
    assert found == {"passed": 2}, output
    for name in expected:
        assert f"{name} PASSED" in output


REPLACING = """
import pytest

@pytest.mark.survives("host-loss", within_s=0)
class Base:
    def test_inherited(self, chaos):
        while not chaos.struck:
            pass

class TestAsItsBase(Base):
    pass

@pytest.mark.survives("switchover", within_s=0)
class TestOfItsOwn(Base):
    pass

class TestAsTheNearest(TestOfItsOwn):
    pass
"""


def test_the_marker_of_a_subclass_replaces_that_of_its_base(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": REPLACING}, "-v")
    assert found == {"passed": 3}, output
    for name in (
        "TestAsItsBase::test_inherited[host-loss]",
        "TestOfItsOwn::test_inherited[switchover]",
        "TestAsTheNearest::test_inherited[switchover]",
    ):
        assert f"{name} PASSED" in output


ONE = '@pytest.mark.survives("host-loss")'
OTHER = '@pytest.mark.survives("switchover")'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"{OTHER}\n{ONE}\ndef test_it(): pass", "test_it"),
        (f"pytestmark = {OTHER[1:]}\n{ONE}\ndef test_it(): pass", "test_it"),
        (f"{OTHER}\nclass TestIt:\n  {ONE}\n  def test_it(self): pass", "TestIt::test_it"),
        (f"{OTHER}\n{ONE}\nclass TestIt:\n  def test_it(self): pass", "TestIt::test_it"),
    ],
    ids=["function", "module and function", "class and function", "class"],
)
def test_several_markers_are_refused(tmp_path: Path, text: str, name: str) -> None:
    write(tmp_path, {"test_it.py": f"import pytest\n{text}\n"})
    code, output = run(tmp_path)
    assert code == 2, output
    assert f"test_it.py::{name} has 2 markers survives" in output
    assert re.search(r"survives\('(host-loss', 'switchover|switchover', 'host-loss)'\)", output)


UNSTRUCK = """
import unittest
import pytest

@pytest.mark.survives("host-loss")
class OfUnittest(unittest.TestCase):
    def test_of_unittest(self):
        pass

@pytest.mark.survives("host-loss")
class OfUnittestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_of_unittest_async(self):
        pass

def test_marked_late():
    pass

@pytest.fixture
def marks(request):
    request.node.add_marker(pytest.mark.survives("host-loss"))

def test_marked_by_a_fixture(marks):
    pass

@pytest.mark.parametrize("number", [
    pytest.param(1, marks=pytest.mark.survives("host-loss")),
    2,
])
def test_marked_at_a_parameter(number):
    pass

@pytest.mark.survives("steady")
@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.survives("host-loss"))])
def test_marked_at_a_parameter_too(number):
    pass
"""
LATE = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "test_marked_late":
            item.add_marker(pytest.mark.survives("host-loss"))
"""


def test_a_marker_that_nothing_comes_of_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"conftest.py": LATE, "test_it.py": UNSTRUCK})
    code, output = run(tmp_path)
    assert code == 1
    assert outcomes(output) == {"errors": 6, "passed": 1}, output
    words = "survives has no effect on this test: it must stand at a function, or at a class or"
    assert output.count(f"E   Failed: {words}") + output.count(f"\n{words}") >= 6


def test_what_looks_like_a_test_and_is_none_does_no_harm(tmp_path: Path) -> None:
    text = "from unittest.mock import Mock\ntest_it = Mock()\n\ndef test_other():\n    pass\n"
    write(tmp_path, {"test_mock.py": text})
    code, output = run(tmp_path, "-W", "default")
    assert code == 0, output
    assert outcomes(output)["passed"] == 1


FAILING = """
import pytest
from conftest import CLUSTER
from chaos.testing import FaultError

@pytest.fixture
def without_power():
    def before(asked):
        if asked.startswith("strike"):
            raise FaultError("the switch is stuck")
    CLUSTER.before = before
    yield
    CLUSTER.before = lambda asked: None

@pytest.mark.survives("host-loss", within_s=0)
def test_waits(without_power, chaos):
    while not chaos.struck:
        pass
"""


def test_who_waits_for_a_strike_that_fails_fails_with_its_words(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": FAILING})
    assert found == {"failed": 1}, output
    assert "FaultError: the switch is stuck" in output
    assert "failed: the switch is stuck" in output


# ---- after a test ----

DYNAMIC = """
def test_breaks_it_unnamed(request):
    request.getfixturevalue("patroni_cluster").kill_primary()

def test_does_not_use_it(calls):
    assert calls == [
        "start", "strike host-power-cut primary", *["heal", "wait_healthy"] * 2
    ]

def test_cost_nothing(calls):
    assert len(calls) == 6
"""


def test_a_cluster_that_a_test_fetched_itself_is_healed_too(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": DYNAMIC})
    assert found == {"passed": 3}, output


FIXTURES = """
import pytest

@pytest.fixture
def breaking(patroni_cluster):
    yield
    patroni_cluster.kill_primary()

def test_is_broken_by_its_fixture(breaking):
    pass

def test_finds_it_whole(calls):
    assert calls[-3:] == ["strike host-power-cut primary", "heal", "wait_healthy"]
"""


def test_a_cluster_that_a_fixture_has_broken_at_its_end_is_healed_too(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": FIXTURES})
    assert found == {"passed": 2}, output


UNFIT = """
import pytest

def test_is_not_async(storage):
    pass

@pytest.mark.asyncio
async def test_runs_elsewhere(storage):
    pass
"""
ASYNCIO = """
def pytest_configure(config):
    config.addinivalue_line("markers", "asyncio: as pytest-asyncio has it")
"""


def test_a_storage_is_refused_to_whom_it_is_of_no_use(tmp_path: Path) -> None:
    files = {"test_it.py": UNFIT, "conftest.py": CONFTEST + ASYNCIO}
    found, output = run_project(tmp_path, files)
    assert found == {"errors": 2}, output
    words = "this test cannot use the fixture storage:"
    assert f"{words} it is not async: write it as an async def" in output
    assert f"{words} pytest-asyncio runs it: mark it with @pytest.mark.anyio" in output


BROKEN = """
import pytest
from conftest import CLUSTER

@pytest.fixture
def own():
    yield
    CLUSTER.calls.append("own teardown")

@pytest.fixture
def bad():
    yield
    raise OSError("my own teardown")

def before(asked):
    if asked == "heal":
        CLUSTER.before = lambda asked: None
        raise ExceptionGroup("both", [OSError("no power"), OSError("no link")])

def test_breaks_it(patroni_cluster, own):
    CLUSTER.before = before

def test_finds_a_new_one(patroni_cluster, own):
    assert CLUSTER.calls == [
        "start", "stop", "start", "own teardown", "heal", "wait_healthy"
    ]

def test_breaks_it_and_itself(patroni_cluster, bad):
    CLUSTER.before = before
"""


def test_whatever_healing_raises_the_teardown_runs(tmp_path: Path) -> None:
    found, output = run_project(tmp_path, {"test_it.py": BROKEN})
    assert found == {"passed": 3, "errors": 2}, output
    assert "not torn down properly" not in output
    words = "the cluster was not whole after this test: no power\n"
    assert output.count(words) == 2
    assert "my own teardown" in output


# ---- beside projects that do not use it ----


@pytest.mark.parametrize("folder", ["tests/chaos", "chaos"])
@pytest.mark.parametrize("arguments", [(), ("-p", "no:bascule")])
def test_a_project_may_have_a_package_chaos_of_its_own(
    tmp_path: Path, folder: str, arguments: tuple[str, ...]
) -> None:
    """With pytest's own way of importing, which puts the package's folder first."""
    test = (
        "import sys\nfrom chaos import MINE\n\n"
        "def test_x():\n    assert MINE == 1\n"
        f"    assert ('pytest_bascule' in sys.modules) is {not arguments}\n"
    )
    write(tmp_path, {f"{folder}/__init__.py": "MINE = 1\n", f"{folder}/test_x.py": test})
    code, output = run(tmp_path, *arguments)
    assert code == 0, output
    assert outcomes(output) == {"passed": 1}
