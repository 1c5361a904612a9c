"""Writes the tables of ``docs/metrics.md`` from the catalogues of metrics.

``python scripts/metrics_page.py`` writes them, ``--check`` says whether they are fresh. The text
around the tables is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.drill.metrics import DRILL_METRICS
from replication.catalogue import STORAGE_METRICS, Metric
from replication.exporter.catalogue import EXPORTER_METRICS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
TABLES = {"exporter": EXPORTER_METRICS, "storage": STORAGE_METRICS, "drill": DRILL_METRICS}


def table(metrics: Sequence[Metric]) -> str:
    """One row a metric."""
    rows = ["| metric | type | labels | unit | meaning | what a naive one gets wrong |"]
    rows.append("|---|---|---|---|---|---|")
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(
            f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.help}"
            f" | {metric.trap} |"
        )
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """The page with its tables written anew."""
    for name, metrics in TABLES.items():
        pattern = rf"(<!-- metrics:{name} -->\n).*?(\n<!-- /metrics -->)"
        new = table(metrics).replace("\\", r"\\")
        text, count = re.subn(pattern, rf"\g<1>{new}\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{PAGE} has {count} places for the metrics of {name}")
    return text


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return 0 if text == with_tables(text) else 1
    PAGE.write_text(with_tables(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
