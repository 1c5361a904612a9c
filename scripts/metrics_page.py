"""Writes the tables of ``docs/reference/metrics.md`` from the catalogues of metrics.

``python scripts/metrics_page.py`` writes them, ``--check`` says whether they are fresh. The text
around the tables is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from page_tables import write_or_check

from chaos.live.metrics import DRILL_METRICS
from replication.monitoring.exporter.metrics import EXPORTER_METRICS
from replication.observability.metric_names import STORAGE_METRICS, Metric
from replication.witness.metrics import WITNESS_METRICS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "metrics.md"
TABLES = {
    "exporter": EXPORTER_METRICS,
    "storage": STORAGE_METRICS,
    "witness": WITNESS_METRICS,
    "drill": DRILL_METRICS,
}


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


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, {name: table(metrics) for name, metrics in TABLES.items()}))
