"""docs/verdicts.md says what the code says, and the registry what its checkers can find."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from chaos.checkers.registry import CHECKERS
from chaos.verdict import FindingKind

ROOT = Path(__file__).parents[3]


def test_the_page_is_fresh() -> None:
    script = ROOT / "scripts" / "verdicts_page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/verdicts_page.py"


def test_every_kind_of_finding_is_of_a_checker_or_of_its_crash() -> None:
    found = {kind for checker in CHECKERS for kind in checker.finds}
    assert found == set(FindingKind) - {FindingKind.CHECKER_CRASHED}


def test_checkers_find_what_the_registry_says() -> None:
    said = defaultdict(set)
    for checker in CHECKERS:
        said[inspect.getsourcefile(checker.check)] |= set(checker.finds)
    for file, kinds in said.items():
        assert file is not None
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
            if isinstance(node, (ast.Attribute, ast.Name))
        }
        made = {kind for kind in FindingKind if kind.name in names}
        if "no_authority" in names:
            made.add(FindingKind.INCOMPLETE_EVIDENCE)
        assert kinds == made, file
