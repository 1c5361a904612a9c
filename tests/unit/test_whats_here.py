"""The page of one sentence a module is fresh, and every module has its sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_fresh() -> None:
    script = ROOT / "scripts" / "whats_here.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/whats_here.py"


def test_every_module_has_a_sentence() -> None:
    lines = (ROOT / "docs" / "whats-here.md").read_text(encoding="utf-8").splitlines()
    modules = [line for line in lines if line.startswith("- `") and ".py`: " in line]
    assert len(modules) > 50
    assert all(line.endswith((".", "?")) for line in modules), [
        line for line in modules if not line.endswith((".", "?"))
    ]
