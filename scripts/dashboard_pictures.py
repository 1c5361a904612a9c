"""Pictures of what watches a drill, by a real browser: ``python scripts/dashboard_pictures.py``.

Needs a running ``docker compose up``, chromium, and port 9188. It runs a drill with
``--metrics 9188``, then takes pictures of Prometheus with the dashboard's own queries, of its
alerts, of Alertmanager and of HAProxy, and of Grafana where that is up. They go to
``docs/pictures``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.queries import filled_in  # noqa: E402
from support.screenshot import CHROMIUM_FLAGS, find_chromium  # noqa: E402

from replication.monitoring.dashboard_file import panels  # noqa: E402

PANELS = (
    "Phase",
    "Faults",
    "Operations of the load, by site and outcome",
    "Since the last acknowledged operation",
    "Role of each member",
)
"""Of the dashboard, by their titles."""
METRICS_PORT = 9188
AFTER_S = 12
"""So that the end of the drill is in the picture, and Alertmanager has heard."""
WIDTH_PX, HEIGHT_PX = 1280, 900
LOAD_TIMEOUT_MS = 30_000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pictures of what watches a drill.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--alertmanager", default="http://127.0.0.1:9093")
    parser.add_argument("--haproxy", default="http://127.0.0.1:7000")
    parser.add_argument("--grafana", default="http://127.0.0.1:3000")
    parser.add_argument("--scenario", default="host-loss")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    begin_s = time.time()
    drill(options.scenario)
    time.sleep(AFTER_S)  # nothing to wait for: time is what is to be seen
    cluster = f"drill-{options.scenario}"
    range_s = round(time.time() - begin_s)
    chosen = {"filter": f'{{cluster="{cluster}"}}'}
    pages = {
        "prometheus": prometheus_page(options.prometheus, cluster, range_s),
        "alerts": f"{options.prometheus}/classic/alerts",
        "alertmanager": f"{options.alertmanager}/#/alerts?{urlencode(chosen)}",
        "haproxy": options.haproxy,
    }
    if answers(options.grafana):
        at = {"from": round(begin_s * 1000), "to": round(time.time() * 1000)}
        wanted = urlencode({**at, "var-cluster": cluster, "kiosk": "true"})
        pages["grafana"] = f"{options.grafana}/d/bascule?{wanted}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
        )
        for name, url in pages.items():
            picture = options.out / f"{name}.png"
            take(browser, url, picture)
            print(f"{picture}: {url}", flush=True)
        browser.close()


def drill(scenario: str) -> None:
    """Run one, shown to Prometheus."""
    with TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "chaos", "drill", scenario),
                *("--metrics", str(METRICS_PORT), "--out", f"{folder}/run"),
            ],
            check=True,
        )


def prometheus_page(base: str, cluster: str, range_s: int) -> str:
    """Prometheus's own graphs of the dashboard's queries, one below the other."""
    chosen = [panel for title in PANELS for panel in panels() if panel.title == title]
    asked: dict[str, object] = {}
    for number, panel in enumerate(chosen):
        asked |= {
            f"g{number}.expr": filled_in(panel.queries[0].expr, cluster),
            f"g{number}.tab": 0,
            f"g{number}.range_input": f"{range_s}s",
            f"g{number}.step_input": 1,
        }
    return f"{base}/classic/graph?{urlencode(asked)}"


def answers(url: str) -> bool:
    """Somebody is there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def take(browser: Browser, url: str, picture: Path) -> None:
    """One page, whole.

    Raises:
        RuntimeError: the page is an error.
    """
    page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
    answer = page.goto(url, wait_until="networkidle", timeout=LOAD_TIMEOUT_MS)
    if answer is None or not answer.ok:
        raise RuntimeError(f"{url}: {'no answer' if answer is None else answer.status}")
    settle(page, ("svg", "canvas", "table", ".alert-item", ".list-group-item"))
    page.screenshot(path=picture, full_page=True)
    page.close()


def settle(page: Page, drawn: Sequence[str]) -> None:
    """Wait until something of it is drawn."""
    page.wait_for_selector(", ".join(drawn), timeout=LOAD_TIMEOUT_MS, state="attached")


if __name__ == "__main__":
    main()
