"""The API reference is fresh, has every public name, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import replication

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"


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


def test_links_within_the_page_lead_somewhere() -> None:
    page = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    # GitHub's anchors: lower case, punctuation gone, spaces to hyphens.
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len(anchors) == len(headings)
    links = set(re.findall(r"\]\(#([^)]*)\)", page))
    assert links
    assert links <= anchors
