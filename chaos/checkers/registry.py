"""All checkers: one line each, in the order of reports."""

from __future__ import annotations

from pkgutil import resolve_name

from chaos.checkers import (
    completeness,
    dead_timeline,
    divergence,
    doors,
    duplicates,
    exits,
    failover,
    in_doubt,
    load,
    lost,
    phantom,
    powers,
    prediction,
    read_service,
    recovery,
    restore,
    restored,
    retention,
    seals,
    service,
    settings,
    shared_units,
    split_brain,
    stale_reads,
    stalls,
    trail,
    trail_values,
    withdrawal,
)
from chaos.checkers.base import Checker
from chaos.findings import OF_ANY_CHECKER, FindingKind
from chaos.workloads.registry import WORKLOADS

OF_WORKLOADS: tuple[Checker, ...] = tuple(
    resolve_name(name) for kind in WORKLOADS.values() for name in kind.checkers
)
"""Those that stand beside the workload that they judge."""

CHECKERS: tuple[Checker, ...] = (
    lost.CHECKER,
    phantom.CHECKER,
    duplicates.CHECKER,
    shared_units.CHECKER,
    *OF_WORKLOADS,
    in_doubt.CHECKER,
    split_brain.CHECKER,
    dead_timeline.CHECKER,
    divergence.CHECKER,
    restore.CHECKER,
    restored.CHECKER,
    stale_reads.CHECKER,
    seals.CHECKER,
    doors.CHECKER,
    powers.CHECKER,
    withdrawal.CHECKER,
    trail.CHECKER,
    trail_values.CHECKER,
    retention.CHECKER,
    service.CHECKER,
    read_service.CHECKER,
    prediction.CHECKER,
    recovery.CHECKER,
    failover.CHECKER,
    exits.CHECKER,
    settings.CHECKER,
    load.CHECKER,
    stalls.CHECKER,
    completeness.CHECKER,
)
"""In the order of reports: what harms data first, the instrument last."""


FINDINGS: tuple[FindingKind, ...] = (
    *dict.fromkeys(
        kind for checker in CHECKERS for kind in checker.finds if kind not in OF_ANY_CHECKER
    ),
    *OF_ANY_CHECKER,
)
"""Every kind of finding, in the order of the checkers that make them."""


def checkers_of(kind: str) -> tuple[Checker, ...]:
    """Those that judge a run with that workload, in the order of reports."""
    return tuple(one for one in CHECKERS if not one.workloads or kind in one.workloads)
