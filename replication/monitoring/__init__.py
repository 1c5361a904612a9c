"""Monitoring of a cluster: alert rules and a dashboard for the exporter's metrics, as data."""

from replication.monitoring.alerts.rule import AlertRule, Threshold
from replication.monitoring.alerts.rules_file import ALERTS, alert, render_rules

__all__ = ["ALERTS", "AlertRule", "Threshold", "alert", "render_rules"]
