"""The dashboard as data: fresh on disk, whole, and asking only for what exists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest
from support.monitoring.scrapes import parse

from chaos.cli.main import bascule
from chaos.live.metrics import DRILL_METRICS
from replication.monitoring import ALERTS
from replication.monitoring.dashboard.build import build_dashboard
from replication.monitoring.dashboard.file import (
    DASHBOARD_FILE,
    ROWS,
    dashboard_json,
    expressions,
    panels,
    witness_expressions,
)
from replication.monitoring.exporter.metrics import EXPORTER_METRICS
from replication.observability.metric_names import STORAGE_METRICS, Metric
from replication.witness.metrics import WITNESS_METRICS, WitnessMetrics

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (*EXPORTER_METRICS, *STORAGE_METRICS, *DRILL_METRICS, *WITNESS_METRICS)
}


def used_metrics(expr: str) -> set[str]:
    """Every metric of ours that an expression names, histograms by their family."""
    return {name.removesuffix("_bucket") for name in re.findall(r"\bbascule_[a-z_]+\b(?!\.)", expr)}


def board() -> dict[str, Any]:
    return dict(json.loads(dashboard_json()))


def test_the_dashboard_on_disk_is_fresh() -> None:
    """``python scripts/monitoring_files.py`` writes it."""
    assert DASHBOARD_FILE.read_text(encoding="utf-8") == build_dashboard()


def test_the_command_prints_it() -> None:
    printed = CliRunner().invoke(bascule, ["monitoring", "dashboard"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == board()


@pytest.mark.parametrize("expr", [*expressions(), *(rule.expr for rule in ALERTS)])
def test_every_metric_that_is_asked_for_exists(expr: str) -> None:
    used = used_metrics(expr)
    assert used or "ALERTS" in expr
    assert used <= set(METRICS)


@pytest.mark.parametrize("expr", [*expressions(), *(rule.expr for rule in ALERTS)])
def test_every_label_that_is_matched_exists(expr: str) -> None:
    """A matcher on a label that the metric does not have would never match."""
    for name, matchers in re.findall(r"\b(bascule_[a-z_]+)\{([^}]*)\}", expr):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert labels <= set(METRICS[name.removesuffix("_bucket")].labels), name


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_histograms_and_counters_are_asked_as_such(metric: Metric) -> None:
    for expr in expressions():
        if re.search(rf"\b{metric.name}(_bucket)?\b", expr) is None:
            continue
        if metric.kind in ("counter", "histogram"):
            assert re.search(rf"(rate|increase)\({metric.name}", expr), expr
        if metric.kind == "histogram":
            assert "histogram_quantile" in expr
            assert f"{metric.name}_bucket" in expr


@pytest.mark.parametrize("expr", witness_expressions())
def test_a_witness_exports_each_series_of_its_row_from_the_beginning(expr: str) -> None:
    """No increase is seen in a series that begins with its first event."""
    registry = CollectorRegistry()
    witness = WitnessMetrics(registry, cluster="wh", site="paris", sites=3)
    witness.looked({"db-paris": 0.0}, dcs_age_s=0.1, peers=3)
    page = parse(generate_latest(registry).decode())
    asked = re.findall(r"\b(bascule_witness_[a-z_]+)\{([^}]*)\}", expr)
    assert asked
    for name, matchers in asked:
        labels = dict(re.findall(r'(\w+)="([^"$]*)"', matchers))
        assert page.values(name, **labels), expr


def test_every_panel_and_query_is_in_the_json() -> None:
    drawn = [panel for panel in board()["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in drawn] == [panel.title for panel in panels()]
    for panel, found in zip(panels(), drawn, strict=True):
        assert [target["expr"] for target in found["targets"]] == [
            query.expr for query in panel.queries
        ]
        assert found["description"]
        assert found["datasource"]["uid"] == "${datasource}"
    rows = [panel["title"] for panel in board()["panels"] if panel["type"] == "row"]
    assert rows == [row.title for row in ROWS]


def test_every_panel_and_row_has_an_id_of_its_own() -> None:
    ids = [panel["id"] for panel in board()["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_fill_the_grid_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken)), "there is a hole"


def test_it_has_its_variables_and_markers() -> None:
    assert [one["name"] for one in board()["templating"]["list"]] == [
        *("datasource", "cluster", "site")
    ]
    assert [one["name"] for one in board()["annotations"]["list"]] == [
        *("failed over", "no primary", "alert", "fault", "broken")
    ]
