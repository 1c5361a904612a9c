"""Links of the documentation lead to files and headings, and the tests that it names are there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> list[str]:
    """GitHub's: lower case, punctuation gone, spaces to hyphens."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_anchors_of_the_reference_are_unique() -> None:
    found = anchors(ROOT / "docs" / "reference" / "api.md")
    assert len(found) == len(set(found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_tests_lead_somewhere(page: Path) -> None:
    for path in re.findall(r"(?<![\w/])([\w-]+/[\w/-]*test_\w+\.py)", prose(page)):
        assert any((base / path).exists() for base in (ROOT, page.parent)), path


@pytest.fixture(scope="module")
def tests_by_file() -> dict[str, set[str]]:
    """The names of the tests in the files of one name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for folder in ("tests", "examples"):
        for path in (ROOT / folder).rglob("test_*.py"):
            text = path.read_text(encoding="utf-8")
            found[path.name].update(re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE))
    return dict(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_are_there(page: Path, tests_by_file: dict[str, set[str]]) -> None:
    """A file has all the tests that are named since the file before it."""
    names: set[str] = set()
    for name in re.findall(r"`(?:[\w/]*/)?(test_\w+(?:\.py)?)`", prose(page)):
        if not name.endswith(".py"):
            names.add(name)
            continue
        assert name in tests_by_file
        assert names <= tests_by_file[name], name
        names = set()
    assert not names, "whose file is not named"
