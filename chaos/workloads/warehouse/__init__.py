"""The warehouse workload: a hospital's data warehouse under its feeds, its readers and withdrawals.

The core is OMOP's tables with generated patients (``tables.py``, ``generator.py``). While the drill
runs, every site's systems deliver results, members read on replicas, and patients withdraw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from chaos.workloads.kind import WorkloadKind, WorkloadOptions
from cluster.toml.reader import TomlTable

ProfileName = Literal["smoke", "drill", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseOptions(WorkloadOptions):
    """How large the warehouse is, and what is delivered."""

    profile: ProfileName = "smoke"
    """Patients: 6,000, 60,000 or 600,000 (``profiles.py``). The smallest is filled in a second."""
    delivery_rows: int = 60
    """Results of one delivery, which is one operation."""
    fill_seed: int = 7
    """Which patients."""
    workspaces: bool = False
    """Projects are open, their probes are asked, and a steward opens and closes others."""

    @property
    def keys_seed(self) -> int | None:
        """Of the keys of the workspaces; None: there are none."""
        return self.fill_seed if self.workspaces else None

    @classmethod
    def read(cls, table: TomlTable) -> Self:
        """From the ``[workload]`` of a scenario."""
        default = cls()
        names: tuple[ProfileName, ...] = ("smoke", "drill", "full")
        return cls(
            profile=table.choice("profile", names, default.profile),
            delivery_rows=table.integer("delivery_rows", default.delivery_rows, minimum=10),
            fill_seed=table.integer("fill_seed", default.fill_seed, minimum=0),
            workspaces=table.flag("workspaces", default.workspaces),
        )


WAREHOUSE = WorkloadKind(
    key="warehouse",
    options=WarehouseOptions,
    # A delivery is some dozen rows and a merge. Reads and withdrawals come on top.
    rate_per_s=4.0,
    limits="What is judged are deliveries of feeds, each in one transaction with its merge and its "
    "watermark, withdrawals of patients, and reads of one snapshot. Nothing is said about other "
    "ways to load a warehouse.",
    load="chaos.workloads.warehouse.load:Warehouse",
    # Sums over all rows: seconds with 6,000 patients, minutes with 600,000 on two busy cores.
    final_read_s=300.0,
    points="bascule.warehouse_access",
    erase_again="chaos.workloads.warehouse.again:erase_again",
    access="chaos.workloads.warehouse.escapes:access_of",
    checkers=(
        "chaos.workloads.warehouse.check_feeds:FEEDS",
        "chaos.workloads.warehouse.check_totals:TOTALS",
        "chaos.workloads.warehouse.check_reads:COHORTS",
        "chaos.workloads.warehouse.check_workspaces:WORKSPACES",
        "chaos.workloads.warehouse.check_readers:READERS",
    ),
)
