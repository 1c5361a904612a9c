"""docs/reference/metrics.md says of every metric what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.live.metrics import DRILL_METRICS
from replication.monitoring.exporter.metrics import EXPORTER_METRICS
from replication.observability.metric_names import STORAGE_METRICS, Metric

ROOT = Path(__file__).parents[5]
EVERY = (*EXPORTER_METRICS, *STORAGE_METRICS, *DRILL_METRICS)


def test_the_page_is_fresh() -> None:
    script = ROOT / "scripts" / "metrics_page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/metrics_page.py"


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_row_of_the_page(metric: Metric) -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{metric.name}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == [
        metric.kind,
        ", ".join(f"`{label}`" for label in metric.labels),
        metric.unit,
    ]


def test_names_are_as_prometheus_asks() -> None:
    names = [metric.name for metric in EVERY]
    assert len(set(names)) == len(names)
    for metric in EVERY:
        assert metric.name.startswith("bascule_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.labels[0] == "cluster"
        if metric.unit == "seconds since 1970":
            assert metric.name.endswith("_timestamp_seconds")
        elif metric.unit in {"seconds", "bytes"}:
            assert metric.name.endswith(f"_{metric.unit}")
