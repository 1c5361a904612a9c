"""What watches a cluster: alert rules and a dashboard over the exporter's metrics, as data."""

from replication.monitoring.catalogue import ALERTS, alert
from replication.monitoring.rule import AlertRule, Threshold
from replication.monitoring.rules_file import render_rules

__all__ = ["ALERTS", "AlertRule", "Threshold", "alert", "render_rules"]
