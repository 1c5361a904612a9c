"""Every alert, in the order of the rules file. Adding one: a value, its place here, its runbook."""

from __future__ import annotations

from replication.monitoring.replica_alerts import REPLICA_ALERTS
from replication.monitoring.rule import AlertRule
from replication.monitoring.service_alerts import SERVICE_ALERTS
from replication.monitoring.support_alerts import SUPPORT_ALERTS

ALERTS: tuple[AlertRule, ...] = (*SERVICE_ALERTS, *REPLICA_ALERTS, *SUPPORT_ALERTS)


def alert(name: str) -> AlertRule:
    """The alert of that name; KeyError when there is none."""
    for rule in ALERTS:
        if rule.name == name:
            return rule
    raise KeyError(name)
