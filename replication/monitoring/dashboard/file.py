"""The dashboard that comes with the package, and what it asks. The JSON is generated
(``build``); reading it needs no further package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from replication.monitoring.dashboard.drill import DRILL, DRILL_MARKERS
from replication.monitoring.dashboard.panel import Marker, Panel, PanelRow
from replication.monitoring.dashboard.replica import DURABILITY, LAG
from replication.monitoring.dashboard.state import MARKERS as STATE_MARKERS
from replication.monitoring.dashboard.state import ROLES_ROW, STATE
from replication.monitoring.dashboard.storage import EXPORTER, STORAGE
from replication.monitoring.dashboard.witness import WITNESSES

ROWS: tuple[PanelRow, ...] = (
    *(STATE, LAG, ROLES_ROW, STORAGE, DURABILITY, WITNESSES, EXPORTER, DRILL),
)
MARKERS = (*STATE_MARKERS, *DRILL_MARKERS)
DASHBOARD_FILE = Path(__file__).with_name("dashboard.json")


def dashboard_json() -> str:
    """The dashboard, ready for Grafana's import (11 or later)."""
    return DASHBOARD_FILE.read_text(encoding="utf-8")


def panels() -> tuple[Panel, ...]:
    """Every panel, row by row."""
    return tuple(panel for row in ROWS for panel in row.panels)


def expressions() -> tuple[str, ...]:
    """Every query of the dashboard, with Grafana's variables in it: panels, then markers."""
    return _expressions(ROWS, MARKERS)


def drill_expressions() -> tuple[str, ...]:
    """Those queries that only a running drill answers."""
    return _expressions((DRILL,), DRILL_MARKERS)


def witness_expressions() -> tuple[str, ...]:
    """Those that only a cluster with witnesses answers."""
    return _expressions((WITNESSES,), ())


def _expressions(rows: Iterable[PanelRow], markers: Iterable[Marker]) -> tuple[str, ...]:
    asked = [query.expr for row in rows for panel in row.panels for query in panel.queries]
    return (*asked, *(marker.expr for marker in markers))
