"""Writes what is generated from ``replication/monitoring``: rules, dashboard, the table of alerts.

``python scripts/monitoring_files.py`` writes them, ``--check`` says whether they are fresh. The
text around the table in ``docs/operate/monitoring.md`` is written by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from replication.monitoring import ALERTS, AlertRule
from replication.monitoring.alerts.rule import duration, number
from replication.monitoring.alerts.rules_file import RULES_FILE, render_rules
from replication.monitoring.dashboard.build import build_dashboard
from replication.monitoring.dashboard.file import DASHBOARD_FILE

PAGE = Path(__file__).parents[1] / "docs" / "operate" / "monitoring.md"
BYTES_UNITS = (("GiB", 1024**3), ("MiB", 1024**2))


def row(rule: AlertRule) -> str:
    """One alert in the table."""
    waits = duration(rule.for_s) if rule.for_s else "at once"
    threshold = "—"
    if rule.threshold is not None:
        threshold = f"{value(rule.threshold.value, rule.threshold.unit)}: {rule.threshold.source}"
    return (
        f"| [{rule.name}](runbooks/{rule.runbook}.md) | {rule.severity}"
        f" | {waits}: {rule.for_source} | {threshold} | {rule.when_absent} |"
    )


def value(size: float, unit: str) -> str:
    """A threshold for people."""
    if unit == "bytes":
        name, step = next((one for one in BYTES_UNITS if size >= one[1]), ("bytes", 1))
        return f"{number(size / step)} {name}"
    return duration(size)


def with_table(text: str) -> str:
    """The page with its table written anew."""
    table = "\n".join(
        [
            "| alert | severity | waits, and why | threshold, and whose | when its series vanish |",
            "|---|---|---|---|---|",
            *map(row, ALERTS),
        ]
    )
    pattern = r"(<!-- alerts -->\n).*?(<!-- /alerts -->)"
    text, count = re.subn(
        pattern, lambda found: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{PAGE} has {count} places for the table of alerts")
    return text


def main() -> int:
    wanted = {
        RULES_FILE: render_rules(),
        DASHBOARD_FILE: build_dashboard(),
        PAGE: with_table(PAGE.read_text(encoding="utf-8")),
    }
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in wanted.items() if path.read_text("utf-8") != text]
        print(f"stale: {', '.join(stale)}" if stale else "fresh")
        return 1 if stale else 0
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
