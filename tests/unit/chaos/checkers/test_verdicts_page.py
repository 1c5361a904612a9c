"""docs/reference/verdicts.md says what the code says, the registry what its checkers can find."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

from chaos.checkers.registry import CHECKERS, FINDINGS
from chaos.findings import CHECKER_CRASHED, INCOMPLETE_EVIDENCE, FindingKind

ROOT = Path(__file__).parents[4]


def test_the_page_is_fresh() -> None:
    script = ROOT / "scripts" / "verdicts_page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/verdicts_page.py"


def test_every_kind_of_finding_is_of_a_checker_or_of_its_crash() -> None:
    found = {kind for checker in CHECKERS for kind in checker.finds}
    assert found == set(FINDINGS) - {CHECKER_CRASHED}
    assert len({kind.word for kind in FINDINGS}) == len(FINDINGS)


def test_checkers_find_what_they_say() -> None:
    said: dict[ModuleType, set[FindingKind]] = defaultdict(set)
    for checker in CHECKERS:
        module = inspect.getmodule(checker.check or checker.check_timing or checker.answer)
        assert module is not None
        said[module] |= set(checker.finds)
    for module, kinds in said.items():
        assert kinds == made_in(module), module.__name__


def made_in(module: ModuleType) -> set[FindingKind]:
    """The kinds of the findings that a module makes, going by its calls."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    made: set[FindingKind] = {
        getattr(module, keyword.value.id)
        for call in calls
        for keyword in call.keywords
        if keyword.arg == "kind" and isinstance(keyword.value, ast.Name)
    }
    called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return made | ({INCOMPLETE_EVIDENCE} if "no_authority" in called else set())
