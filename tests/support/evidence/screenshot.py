"""A picture of a report in a real browser: ``python tests/support/evidence/screenshot.py REPORT
OUT.png``.

Options: ``--width 390`` (pixels), ``--dark``, ``--height N`` (the window only, not the whole page).
The browser tests use ``find_chromium`` and ``CHROMIUM_FLAGS`` from here too.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""For a browser in a container or a CI machine, that asks nobody for updates."""


def find_chromium() -> str:
    """The path of an installed browser.

    Raises:
        RuntimeError: there is none; it says how to install one.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError(
        "No chromium was found, and the report must be looked at in a real browser. "
        "Install it: sudo apt-get install chromium"
    )


def take(report: Path, picture: Path, *, width: int, height: int | None, dark: bool) -> None:
    """Writes a picture of ``report``; of the whole page when ``height`` is None."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
        )
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height or 900},
                device_scale_factor=2 if width < 600 else 1,
                color_scheme="dark" if dark else "light",
            )
            page.goto(report.resolve().as_uri())
            page.screenshot(path=picture, full_page=height is None)
        finally:
            browser.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A picture of a report in a real browser.")
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, help="only the window, not the whole page")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    take(
        options.report,
        options.picture,
        width=options.width,
        height=options.height,
        dark=options.dark,
    )


if __name__ == "__main__":
    main()
