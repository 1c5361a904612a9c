"""docs/whats-here.md has a paragraph for every folder, and names only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.house.imports import ALLOWED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "whats-here.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^##+ (`.*)$", flags=re.MULTILINE)


def paragraphs() -> dict[str, str]:
    """The text below each heading, by what the heading names."""
    _, *parts = HEADING.split(PAGE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def folders_of(heading: str) -> list[str]:
    return re.findall(r"`([\w/]+)/`", heading)


def test_every_folder_has_its_paragraph() -> None:
    there = {
        path.parent.relative_to(ROOT).as_posix()
        for package in ALLOWED
        for path in (ROOT / package).rglob("*.py")
    }
    named = [folder for heading in paragraphs() for folder in folders_of(heading)]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("heading", paragraphs())
def test_what_a_paragraph_names_is_there(heading: str) -> None:
    text = paragraphs()[heading].split("\n## ")[0]
    assert len(text.split()) > 10, "that is no paragraph"
    for folder in folders_of(heading):
        for name in re.findall(r"`(\w+\.py)`", text):
            assert (ROOT / folder / name).is_file(), name
        for name in re.findall(r"`(\w+)/`", text):
            assert (ROOT / folder / name).is_dir(), name
