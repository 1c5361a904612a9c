"""All workloads by their names."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.scenarios.model import WorkloadKind
from chaos.workloads.base import Workload
from chaos.workloads.bulk import Bulk
from chaos.workloads.ledger import Ledger
from chaos.workloads.transfers import Transfers

WORKLOADS: Mapping[WorkloadKind, Workload] = {
    workload.kind: workload for workload in (Ledger(), Transfers(), Bulk())
}
