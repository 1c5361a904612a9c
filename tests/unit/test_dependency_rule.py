"""The house keeps its shape: imports go one way, without cycles, and modules stay small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.house.imports import ALLOWED, find_cycle, find_imports, find_sources, rule_breaks

ROOT = Path(__file__).parents[2]
BARE_MODULES = (
    "cluster.substrates.lab.lab_init",
    "cluster.substrates.lab.host_init",
    "replication.witness.gate",
)
"""Run by ``python -I -S``, where nothing is installed."""
LINES_MAX = 500


def write_tree(root: Path, tree: dict[str, str]) -> Path:
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def breaks_in(root: Path) -> list[str]:
    return rule_breaks(find_imports(find_sources(root, ALLOWED)))


def cycle_in(root: Path) -> list[str]:
    return find_cycle(find_imports(find_sources(root, ALLOWED)))


def test_packages_import_one_way() -> None:
    assert breaks_in(ROOT) == []


def test_no_module_imports_itself_through_others() -> None:
    assert cycle_in(ROOT) == []


def test_every_package_was_looked_at() -> None:
    """A check that finds no modules would find no breach either."""
    tops = {source.name.partition(".")[0] for source in find_sources(ROOT, ALLOWED)}
    assert tops == set(ALLOWED)


@pytest.mark.parametrize("name", BARE_MODULES)
def test_scripts_of_a_bare_interpreter_need_only_the_standard_library(name: str) -> None:
    sources = [source for source in find_sources(ROOT, ALLOWED) if source.name == name]
    imported = {one.imported.partition(".")[0] for one in find_imports(sources)}
    assert imported
    assert imported <= sys.stdlib_module_names


def test_the_director_starts_without_the_report_and_the_checkers() -> None:
    """They take longer to import than the sites to raise, and only ``--keep`` needs them there."""
    program = "import sys, chaos.drill.process; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = done.stdout.decode().splitlines()
    assert "chaos.drill.director" in loaded
    heavy = ("chaos.report", "chaos.checkers", "chaos.timing", "jinja2")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_the_command_starts_without_numpy() -> None:
    """It takes longer to import than the rest together, and only ``bascule judge`` needs it: no
    scenario does, whatever its workload."""
    program = (
        "import sys; from pkgutil import resolve_name; from chaos.cli.main import COMMANDS;"
        " [resolve_name(one) for one in COMMANDS.values()];"
        " from chaos.scenarios.load import builtin_scenarios;"
        " builtin_scenarios(); print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = done.stdout.decode().splitlines()
    assert "chaos.cli.judge" in loaded
    heavy = ("numpy", "scipy", "orjson", "chaos.consistency")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_a_subcommand_loads_no_other_one() -> None:
    program = (
        "import sys; from chaos.cli.main import bascule;"
        " bascule.main(['lint', '--help'], standalone_mode=False); print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(done.stdout.decode().splitlines())
    assert "chaos.cli.lint" in loaded
    assert not {"chaos.cli.campaign", "chaos.cli.doctor", "chaos.drill", "chaos.report"} & loaded


def test_no_module_is_too_long() -> None:
    paths = [source.path for source in find_sources(ROOT, [*ALLOWED, "tests"])]
    too_long = [
        str(path.relative_to(ROOT))
        for path in paths
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES_MAX
    ]
    assert too_long == []


@pytest.mark.parametrize(
    "statement",
    [
        "import chaos",
        "import chaos.findings",
        "import chaos.findings as v",
        "from chaos import findings",
        "from chaos.findings import Verdict",
        "from ..chaos import findings",
        "def late():\n    from chaos import findings",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import chaos",
        "argv = ['python', '-m', 'chaos.findings']",
        "import replication",
    ],
)
def test_the_check_sees_a_breach(tmp_path: Path, statement: str) -> None:
    tree = {
        "chaos/findings.py": "",
        "replication/__init__.py": "",
        "cluster/good.py": "import os\nfrom cluster import bad\n",
        "cluster/bad.py": statement,
    }
    root = write_tree(tmp_path, tree)
    assert len(breaks_in(root)) == 1
    assert breaks_in(root)[0].startswith("cluster.bad:")


def test_the_check_allows_what_is_allowed(tmp_path: Path) -> None:
    tree = {
        "chaos/drill.py": "import os, chaos.findings\nimport replication\nfrom cluster import a\n",
        "chaos/findings.py": "",
        "replication/__init__.py": "",
        "cluster/a.py": "words = 'replication'\n",
    }
    assert breaks_in(write_tree(tmp_path, tree)) == []


def test_the_check_sees_a_cycle(tmp_path: Path) -> None:
    tree = {
        "cluster/a.py": "from cluster import b",
        "cluster/b.py": "def late():\n    from .c import thing",
        "cluster/c.py": "import cluster.a",
        "cluster/d.py": "import cluster.a",
    }
    assert set(cycle_in(write_tree(tmp_path, tree))) == {"cluster.a", "cluster.b", "cluster.c"}
