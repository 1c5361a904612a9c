"""Pictures of what watches a drill, by a real browser: ``python scripts/dashboard_pictures.py``.

Needs a running ``docker compose up``, chromium, and port 9188. It runs a drill with
``--metrics 9188 --keep`` and takes pictures while its sites are still up: of Prometheus with the
dashboard's own queries, of its alerts, of HAProxy, and of Alertmanager and Grafana where they have
a page. They go to ``docs/operate/pictures``.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.evidence.screenshot import CHROMIUM_FLAGS, find_chromium  # noqa: E402
from support.monitoring.queries import filled_in  # noqa: E402

from replication.monitoring.dashboard.file import panels  # noqa: E402

PANELS = (
    "Phase",
    "Faults",
    "Operations of the load, by site and outcome",
    "Since the last acknowledged operation",
    "Role of each member",
)
"""Of the dashboard, by their titles."""
METRICS_PORT = 9188
AFTER_S = 8
"""From the end of the drill to the pictures: a few scrapes, and an evaluation of the rules."""
WIDTH_PX, HEIGHT_PX = 1280, 800
SCALE = 0.75
LOAD_TIMEOUT_MS = 30_000
NO_PAGE = "does not include a web"
"""Debian's Alertmanager comes without its page, and says so."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pictures of what watches a drill.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--alertmanager", default="http://127.0.0.1:9093")
    parser.add_argument("--haproxy", default="http://127.0.0.1:7000")
    parser.add_argument("--grafana", default="http://127.0.0.1:3000")
    parser.add_argument("--scenario", default="host-loss")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "operate" / "pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    begin_s = time.time()
    with drill(options.scenario), sync_playwright() as playwright:
        time.sleep(AFTER_S)  # nothing to wait for: that time passes is what is to be seen
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
        )
        for name, url in pages(options, begin_s).items():
            picture = options.out / f"{name}.png"
            take(browser, url, picture)
            print(f"{picture}: {url}", flush=True)
        browser.close()


@contextmanager
def drill(scenario: str) -> Iterator[None]:
    """A drill that is done and whose sites are still up, shown to Prometheus."""
    with TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "chaos", "drill", scenario, "--keep"),
                *("--metrics", str(METRICS_PORT), "--out", f"{folder}/run"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                print(line, end="", flush=True)
                if "phase: done" in line:
                    break
            else:
                raise SystemExit("the drill did not come to its end")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def pages(options: argparse.Namespace, begin_s: float) -> dict[str, str]:
    """What is there to be looked at, by the name of its picture."""
    cluster = f"drill-{options.scenario}"
    # Prometheus 3 has one page for it; Debian's 2.42 only the classic one.
    classic = page_text(f"{options.prometheus}/classic/graph") is not None
    base = f"{options.prometheus}/classic" if classic else options.prometheus
    graph = f"{base}/graph" if classic else f"{base}/query"
    found = {
        "prometheus": f"{graph}?{graph_query(cluster, time.time() - begin_s)}",
        "alerts": f"{base}/alerts",
        "haproxy": options.haproxy,
    }
    alertmanager = page_text(options.alertmanager)
    if alertmanager is not None and NO_PAGE not in alertmanager:
        chosen = {"filter": f'{{cluster="{cluster}"}}'}
        found["alertmanager"] = f"{options.alertmanager}/#/alerts?{urlencode(chosen)}"
    if page_text(options.grafana) is not None:
        begin_ms, end_ms = round(begin_s * 1000), round(time.time() * 1000)
        shown = {"from": begin_ms, "to": end_ms, "var-cluster": cluster, "kiosk": "true"}
        found["grafana"] = f"{options.grafana}/d/bascule?{urlencode(shown)}"
    return found


def graph_query(cluster: str, range_s: float) -> str:
    """For Prometheus's own graphs of the dashboard's queries, one below the other."""
    chosen = [panel for title in PANELS for panel in panels() if panel.title == title]
    asked: dict[str, object] = {}
    for number, panel in enumerate(chosen):
        asked |= {
            f"g{number}.expr": filled_in(panel.queries[0].expr, cluster),
            f"g{number}.tab": 0,
            f"g{number}.range_input": f"{range_s:.0f}s",
            f"g{number}.step_input": 1,
        }
    return urlencode(asked)


def page_text(url: str) -> str | None:
    """What is answered; None where nobody is."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode(errors="replace"))
    except OSError:
        return None


def take(browser: Browser, url: str, picture: Path) -> None:
    """One page, whole.

    Raises:
        RuntimeError: the page is an error.
    """
    page = browser.new_page(
        viewport={"width": WIDTH_PX, "height": HEIGHT_PX}, device_scale_factor=SCALE
    )
    answer = page.goto(url, wait_until="networkidle", timeout=LOAD_TIMEOUT_MS)
    if answer is None or not answer.ok:
        raise RuntimeError(f"{url}: {'no answer' if answer is None else answer.status}")
    page.wait_for_selector("svg, canvas, table", timeout=LOAD_TIMEOUT_MS, state="attached")
    # As high as the page: a bar that stays at the top of the window is where it belongs.
    height_px = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": WIDTH_PX, "height": int(height_px)})
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=picture, full_page=True)
    page.close()


if __name__ == "__main__":
    main()
