"""The paper in a real browser: on three pages of A4 at most, whole, and asking for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.evidence.reported import Reported
from support.evidence.screenshot import CHROMIUM_FLAGS, find_chromium

from chaos.paper.asked import Asked
from chaos.paper.html import render_paper
from chaos.paper.language import LANGUAGES, language_of
from chaos.paper.page import compose_paper
from chaos.paper.shown import shown, shown_run

PAPER_PX = 703
"""A4 less its margins of 12 mm is 186 mm."""
STORIES = ("host_loss", "async_loss", "steady", "switchover", "interrupted")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
        )
        yield started
        started.close()


@pytest.mark.parametrize(
    ("lang", "stories"), [("fr", STORIES[:1]), *((lang, STORIES) for lang in LANGUAGES)]
)
def test_it_prints_on_three_pages_at_most(
    browser: Browser,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    lang: str,
    stories: tuple[str, ...],
) -> None:
    reported: list[Reported] = [request.getfixturevalue(story) for story in stories]
    runs = [shown_run(one.folder.name, one.run, one.verdict) for one in reported]
    words = language_of(lang)
    found = shown(runs, Asked(dmia_s=20.0, prd_s=0.0, prd_entries=0))
    page = compose_paper(found, words, issued=date(2026, 11, 27), version="1.2.3")
    paper = tmp_path / "paper.html"
    paper.write_text(render_paper(page, words), encoding="utf-8")

    opened = browser.new_page(viewport={"width": PAPER_PX, "height": 1040})
    asked: list[str] = []
    complaints: list[str] = []
    opened.on("request", lambda one: asked.append(one.url))
    opened.on("console", lambda one: complaints.append(one.text))
    opened.goto(paper.as_uri())
    opened.emulate_media(media="print")
    assert opened.locator("#clauses tbody").count() == 6
    assert opened.evaluate("document.documentElement.scrollWidth") <= PAPER_PX
    sheets = opened.pdf(prefer_css_page_size=True)
    assert 1 < len(re.findall(rb"/Type\s*/Page\b(?!s)", sheets)) <= 3
    boxes = [float(n) for n in re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) [\d.]+\]", sheets)]
    assert all(abs(width - 595.3) < 1 for width in boxes), "A4 is 595.3 points wide"
    assert boxes
    assert [url for url in asked if not url.startswith("data:")] == [paper.as_uri()]
    assert complaints == []
    opened.close()
