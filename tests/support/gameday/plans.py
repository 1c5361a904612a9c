"""Plans of labs that stay up, for tests that raise none."""

from __future__ import annotations

from chaos.gameday.plan import LabPlan, PortPlan


def plan_of(name: str = "lab", run: str = "/runs/1") -> LabPlan:
    """A plan whose descriptors nobody uses."""
    leads_to = ("primary", "replica", "db-paris", "db-orsay")
    return LabPlan(
        name=name,
        run=run,
        topology="three-sites",
        substrate="lab",
        seed=7,
        workload="ledger",
        rate_per_s=10.0,
        reads_per_s=5.0,
        workers=2,
        deadline_s=90.0,
        rto_s_max=60.0,
        load=True,
        command=f"bascule up {name} --seed 7",
        started_at="2026-11-26 22:48:04 UTC",
        started_s=100.0,
        lock_fd=3,
        control_fd=4,
        ports=tuple(
            PortPlan(leads_to=one, port=5000 + index, fd=10 + index)
            for index, one in enumerate(leads_to)
        ),
        metrics_port=9100,
        metrics_fd=5,
    )
