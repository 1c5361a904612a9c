"""The alerts as a Prometheus rules file (Prometheus manual, "Alerting rules")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from replication.monitoring.alerts.replica import REPLICA_ALERTS
from replication.monitoring.alerts.rule import AlertRule, duration, number
from replication.monitoring.alerts.service import SERVICE_ALERTS
from replication.monitoring.alerts.support import SUPPORT_ALERTS
from replication.monitoring.alerts.witness import WITNESS_ALERTS

ALERTS: tuple[AlertRule, ...] = (
    *SERVICE_ALERTS,
    *REPLICA_ALERTS,
    *SUPPORT_ALERTS,
    *WITNESS_ALERTS,
)
"""Every alert, in the order of the file. Adding one: a value, its place here, its runbook."""


def alert(name: str) -> AlertRule:
    """The alert of that name; KeyError when there is none."""
    for rule in ALERTS:
        if rule.name == name:
            return rule
    raise KeyError(name)


GROUP = "bascule"
RUNBOOKS = "docs/operate/runbooks"
"""The folder of the runbooks in the repository; give your own address to ``render_rules``."""
RULES_FILE = Path(__file__).with_name("rules.yml")

HEAD = """\
# Bascule's alert rules. Generated from replication/monitoring by scripts/monitoring_files.py;
# `bascule monitoring rules` prints them with your own thresholds and addresses.
"""


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def render_rules(
    *,
    runbooks: str = RUNBOOKS,
    scale: float = 1.0,
    thresholds: Mapping[str, float] | None = None,
) -> str:
    """The rules file as YAML.

    Args:
        runbooks: the folder or URL that has a page for every alert.
        scale: divides every ``for`` and every range, so that a drill proves in seconds what
            production waits minutes for; thresholds stay as they are. 1 in production.
        thresholds: other thresholds, by the name of the alert, in the rule's own unit.

    Raises:
        ValueError: ``scale`` is not positive; a threshold for no alert, or one without a threshold.
    """
    if not scale > 0:
        raise ValueError(f"the scale must be positive, not {scale:g}")
    asked = thresholds or {}
    unknown = sorted(set(asked) - {rule.name for rule in ALERTS})
    if unknown:
        raise ValueError(f"no such alert: {', '.join(unknown)}")
    rules = [
        _render(rule, runbooks=runbooks, scale=scale, threshold=asked.get(rule.name))
        for rule in ALERTS
    ]
    document = {"groups": [{"name": GROUP, "rules": rules}]}
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return HEAD + body


def _render(
    rule: AlertRule, *, runbooks: str, scale: float, threshold: float | None
) -> dict[str, object]:
    annotations = {
        "summary": rule.summary,
        "description": rule.description,
        "runbook_url": f"{runbooks.rstrip('/')}/{rule.runbook}.md",
    }
    if rule.threshold is not None:
        used = rule.threshold.value if threshold is None else threshold
        annotations["threshold"] = f"{number(used)} {rule.threshold.unit}"
    waits = {"for": duration(rule.for_s / scale)} if rule.for_s else {}
    return {
        "alert": rule.name,
        "expr": rule.expression(scale=scale, threshold=threshold),
        **waits,
        "labels": {"severity": rule.severity},
        "annotations": annotations,
    }
