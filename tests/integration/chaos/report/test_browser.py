"""The report in a real browser, at two widths, in the dark, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support.evidence.reported import Reported
from support.evidence.screenshot import CHROMIUM_FLAGS, find_chromium

DESK_PX, PHONE_PX, PAPER_PX = 1280, 390, 688
"""A4 less its margins of 14 mm is 182 mm: 688 CSS pixels."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; where there is none the test fails and says how to get one."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
        )
        yield started
        started.close()


@dataclass(slots=True)
class Opened:
    """A report in a window, with all that the browser complained of and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def _open(browser: Browser, reported: Reported, width: int, *, dark: bool = False) -> Opened:
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    opened = Opened(page=page)
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.goto(reported.report.as_uri())
    return opened


def _overflow_px(page: Page) -> int:
    """By how much the page can be scrolled sideways."""
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


def _sticking_out(page: Page) -> list[str]:
    """Elements that stick out of the page and are in no box that scrolls by itself."""
    found: list[str] = page.evaluate(
        """() => [...document.body.querySelectorAll('*')].filter(e =>
            !e.closest('.scroll') && !e.closest('svg') && !e.closest('.unseen') &&
            !e.matches('.skip') && e.getBoundingClientRect().right > innerWidth + 1
        ).map(e => e.outerHTML.slice(0, 80))"""
    )
    return found


def _texts_outside(page: Page, svg: str) -> list[str]:
    """Texts of a chart that are cut off by its border."""
    found: list[str] = page.evaluate(
        """(svg) => [...document.querySelectorAll(svg + ' text')].filter(t => {
            const box = t.getBoundingClientRect();
            const all = t.ownerSVGElement.getBoundingClientRect();
            return box.width > 0 && (box.left < all.left - 1 || box.right > all.right + 1 ||
                box.top < all.top - 1 || box.bottom > all.bottom + 1);
        }).map(t => t.textContent)""",
        svg,
    )
    return found


def _texts_overlapping(page: Page, svg: str) -> list[str]:
    """Pairs of texts of a chart that lie over each other by more than a pixel."""
    found: list[str] = page.evaluate(
        """(svg) => {
            const texts = [...document.querySelectorAll(svg + ' text')].map(
                t => [t.textContent, t.getBoundingClientRect()]).filter(([, b]) => b.width > 0);
            const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
            const pairs = [];
            texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
                if (over(a, b)) pairs.push(one + ' | ' + other); }));
            return pairs;
        }""",
        svg,
    )
    return found


@pytest.mark.parametrize("width", [DESK_PX, PHONE_PX])
@pytest.mark.parametrize(
    ("story", "begin"),
    [
        ("host_loss", "VALID: the loss of db-paris' host cost 22.4"),
        ("async_loss", "INVALID: after the links of db-orsay and db-saint-cloud were cut"),
        ("steady", "VALID: without a fault, service was kept"),
        ("switchover", "VALID: the switchover away from db-paris cost"),
        ("interrupted", "UNKNOWN: the evidence cannot decide"),
    ],
)
def test_it_opens_whole_and_quiet(
    browser: Browser, request: pytest.FixtureRequest, story: str, begin: str, width: int
) -> None:
    reported: Reported = request.getfixturevalue(story)
    opened = _open(browser, reported, width)
    page = opened.page
    sentence = page.locator(".sentence")
    assert sentence.is_visible()
    assert sentence.inner_text().startswith(begin)
    assert page.locator("#timeline .site-row").count() == 3
    assert _overflow_px(page) == 0
    assert _sticking_out(page) == []
    assert opened.complaints == []
    # The empty icon keeps the browser from asking for one.
    asked = [url for url in opened.requests if not url.startswith("data:")]
    assert asked == [reported.report.as_uri()]
    shown = "narrow" if width == PHONE_PX else "wide"
    assert page.locator(f"#site-map-{shown}").is_visible()
    for svg in (f"#site-map-{shown}", "#timeline", f"#outage-{shown}"):
        assert _texts_outside(page, svg) == []
        assert _texts_overlapping(page, svg) == []
    page.close()


@pytest.mark.parametrize("width", [DESK_PX, PHONE_PX])
def test_a_workload_and_its_findings_are_shown(
    browser: Browser, torn_transfers: Reported, width: int
) -> None:
    opened = _open(browser, torn_transfers, width)
    page = opened.page
    facts = page.locator("dl div:has(dt:text-is('Workload')) dd")
    assert facts.inner_text() == "transfers"
    text = page.locator("main").inner_text()
    assert "Total that was not kept" in text
    assert "Balance that its transfers do not explain" in text
    assert "at the same time" in text, "the operations around a wrong total are named"
    assert "reads of their total" in text, "the limits say what was judged"
    assert _overflow_px(page) == 0
    assert _sticking_out(page) == []
    assert opened.complaints == []
    page.close()


def test_faults_and_heals_are_marked_in_map_and_timeline(
    browser: Browser, host_loss: Reported, async_loss: Reported, steady: Reported
) -> None:
    for reported, faults, heals in ((host_loss, 1, 1), (async_loss, 2, 2), (steady, 0, 0)):
        page = _open(browser, reported, DESK_PX).page
        assert page.locator("#timeline .mark-of-fault").count() == faults
        assert page.locator("#timeline .mark-of-heal").count() == heals
        page.close()
    page = _open(browser, host_loss, DESK_PX).page
    struck = page.locator("#site-map-wide .host[data-host='db-paris']")
    assert struck.locator(".mark-fault").is_visible()
    assert "primary before" in struck.text_content().split("power cut")[0]  # type: ignore[union-attr]
    assert page.locator("#site-map-wide .mark-fault").count() == 1
    lanes = page.locator("#timeline .lane")
    assert lanes.count() == 4
    assert page.locator(".lane[data-lane='db-paris'] .role-unreachable").is_visible()
    page.close()


def test_on_a_phone_only_the_chart_scrolls(browser: Browser, host_loss: Reported) -> None:
    page = _open(browser, host_loss, PHONE_PX).page
    box = page.locator(".scroll:has(#timeline)")
    widths = box.evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert widths[0] > widths[1]
    assert widths[1] <= PHONE_PX
    smallest_px = page.locator("#timeline").evaluate(
        "e => 11.5 * e.getBoundingClientRect().width / e.viewBox.baseVal.width"
    )
    assert smallest_px > 10, "the smallest text of the chart must stay legible"
    page.close()


def test_in_the_dark_texts_stand_out(browser: Browser, async_loss: Reported) -> None:
    page = _open(browser, async_loss, DESK_PX, dark=True).page
    assert _luminance(page, "main", "background-color") < 0.05
    assert _luminance(page, ".sentence", "color") > 0.6
    assert _luminance(page, "#timeline .name", "fill") > 0.6
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_on_paper(browser: Browser, async_loss: Reported, dark: bool) -> None:
    page = _open(browser, async_loss, PAPER_PX, dark=dark).page
    page.emulate_media(media="print", color_scheme="dark" if dark else "light")
    assert _overflow_px(page) == 0
    # On paper nothing scrolls: what is in a box must fit too.
    too_wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > innerWidth).length"
    )
    assert too_wide == 0
    assert _luminance(page, "main", "background-color") > 0.9, "paper is white"
    assert _luminance(page, ".sentence", "color") < 0.1
    assert page.locator("#site-map-wide").is_visible()
    for svg in ("#site-map-wide", "#timeline", "#outage-wide"):
        assert _texts_outside(page, svg) == []
        assert _texts_overlapping(page, svg) == []
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()


def _luminance(page: Page, selector: str, colour: str) -> float:
    """Relative luminance of a computed colour, 0 to 1 (WCAG 2.2)."""
    rgb: list[float] = page.locator(selector).first.evaluate(
        "(e, name) => getComputedStyle(e).getPropertyValue(name).match(/[\\d.]+/g).map(Number)",
        colour,
    )
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _unit(rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _unit(rgb: list[float]) -> list[float]:
    return [component / 255 for component in rgb[:3]]
