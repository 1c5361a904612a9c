"""The API reference is fresh, and has every public name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import replication

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "api.md"


def test_the_page_is_fresh() -> None:
    script = ROOT / "scripts" / "api_reference.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/api_reference.py"


def test_every_public_name_is_there() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"^### `(\w+)`$", page, flags=re.MULTILINE))
    named |= set(re.findall(r"^\| (?:&emsp;)*`(\w+)`", page, flags=re.MULTILINE))
    named |= set(re.findall(r"^- `(\w+)`: ", page, flags=re.MULTILINE))
    assert set(replication.__all__) <= named
