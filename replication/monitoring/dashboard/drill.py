"""The row of the dashboard on a running drill, and the marks of its faults. Values only.

The metrics are those of ``bascule drill --metrics``; for any other cluster the row is empty.
"""

from __future__ import annotations

from replication.monitoring.dashboard.panel import (
    CLUSTER,
    Marker,
    Panel,
    PanelRow,
    PromQuery,
    Step,
    ValueMeaning,
)
from replication.monitoring.dashboard.storage import per_second

PHASES = (
    ValueMeaning(value=1, text="boot", colour="gray"),
    ValueMeaning(value=2, text="preflight", colour="gray"),
    ValueMeaning(value=3, text="steady", colour="green"),
    ValueMeaning(value=4, text="fault", colour="red"),
    ValueMeaning(value=5, text="recovery", colour="yellow"),
    ValueMeaning(value=6, text="quiesce", colour="gray"),
    ValueMeaning(value=7, text="final-read", colour="gray"),
    ValueMeaning(value=8, text="done", colour="blue"),
)


def phase() -> str:
    """The phase as a number (``PHASES``), from the state set ``bascule_drill_phase``."""
    parts = [
        f'bascule_drill_phase{{{CLUSTER}, phase="{one.text}"}} * {one.value}' for one in PHASES
    ]
    return "max(\n  " + "\n  or ".join(parts) + "\n) > 0"


DRILL = PanelRow(
    title="The drill, while one runs",
    panels=(
        Panel(
            title="Phase",
            description="Of the drill whose scenario is chosen as the cluster: drill-<scenario>.",
            kind="states",
            queries=(PromQuery(expr=phase(), legend="phase"),),
            meanings=PHASES,
        ),
        Panel(
            title="Faults",
            description="From the strike to the heal. A fault of a moment is a mark, and no bar.",
            kind="states",
            queries=(
                PromQuery(
                    expr=f"bascule_drill_fault_active{{{CLUSTER}}}", legend="{{fault}} {{host}}"
                ),
            ),
            meanings=(
                ValueMeaning(value=0, text="healed", colour="green"),
                ValueMeaning(value=1, text="broken", colour="red"),
            ),
        ),
        Panel(
            title="Operations of the load, by site and outcome",
            description=(
                "ok: acknowledged; fail: certainly not applied; info: nobody knows. The verdict"
                " counts what became of each."
            ),
            kind="timeseries",
            queries=(
                per_second(
                    "bascule_drill_operations_total", "site, outcome", "{{site}} {{outcome}}"
                ),
            ),
            unit="ops",
        ),
        Panel(
            title="Since the last acknowledged operation",
            description="The outage as each site feels it, growing until it is served again.",
            kind="timeseries",
            queries=(
                PromQuery(expr=f"bascule_drill_unserved_seconds{{{CLUSTER}}}", legend="{{site}}"),
            ),
            unit="s",
            steps=(Step(value=None, colour="green"), Step(value=30, colour="red")),
        ),
    ),
)

DRILL_MARKERS = (
    Marker(
        name="fault",
        title="FAULT {{fault}} on {{host}}",
        expr=f"bascule_drill_fault_timestamp_seconds{{{CLUSTER}}} * 1000",
        colour="red",
        value_is_time=True,
        step_s=1,
    ),
    Marker(
        name="broken",
        title="{{fault}} on {{host}}",
        expr=f"bascule_drill_fault_active{{{CLUSTER}}} == 1",
        colour="red",
        step_s=1,
    ),
)
"""The exact moment of the strike, and how long the fault lasts: a drill is over in less than a
minute."""
