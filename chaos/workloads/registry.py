"""All workloads: one line each."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.workloads.append import APPEND
from chaos.workloads.bulk import BULK
from chaos.workloads.counter import COUNTER
from chaos.workloads.kind import WorkloadKind, WorkloadOptions
from chaos.workloads.ledger import LEDGER
from chaos.workloads.long_fork import LONG_FORK
from chaos.workloads.register import REGISTER
from chaos.workloads.set import SET
from chaos.workloads.transfers import TRANSFERS
from chaos.workloads.warehouse import WAREHOUSE
from chaos.workloads.write_skew import WRITE_SKEW

DEFAULT = LEDGER
"""The workload of scenarios and run folders that name none."""

WORKLOADS: Mapping[str, WorkloadKind] = {
    kind.key: kind
    for kind in (
        LEDGER,
        TRANSFERS,
        BULK,
        APPEND,
        REGISTER,
        COUNTER,
        SET,
        WRITE_SKEW,
        LONG_FORK,
        WAREHOUSE,
    )
}
"""By their names, the default first."""


def kind_of(options: WorkloadOptions) -> WorkloadKind:
    """The workload that has these options."""
    return next(kind for kind in WORKLOADS.values() if kind.options is type(options))
