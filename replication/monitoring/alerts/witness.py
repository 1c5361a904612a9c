"""Alerts on the witnesses (docs/operate/witness.md), where there are any. Values only.

Without witnesses none of these series exists, and none of these alerts fires.
"""

from __future__ import annotations

from replication.monitoring.alerts.rule import AlertRule, Threshold

WITNESS_MISSING = AlertRule(
    name="BasculeWitnessMissing",
    expr="""\
min by (cluster) (bascule_witness_peers) < max by (cluster) (bascule_witness_sites)""",
    for_s=120,
    for_source="longer than the restart of a host; nothing is urgent while a majority is there",
    severity="warning",
    summary="a witness of {{ $labels.cluster }} is missing: {{ $value }} are there",
    description=(
        "Of the sites that should have a witness some have none that lives: {{ $value }} are there."
        " Without a majority a dead primary is replaced only at the end of its ttl."
    ),
    runbook="witness-missing",
    when_absent=(
        "A witness counts the others by their keys in etcd, so the series of one that lives is"
        " enough. When all are dead there is none, and nobody tells: alert on `up` of their job"
        " too."
    ),
)

WITNESS_BLIND = AlertRule(
    name="BasculeWitnessBlind",
    expr="""\
max by (cluster, site) (bascule_witness_dcs_age_seconds) > $threshold""",
    for_s=60,
    for_source="an election of etcd takes seconds, a restart of its nearest member less than that",
    severity="warning",
    summary="the witness in {{ $labels.site }} of {{ $labels.cluster }} does not reach etcd",
    description=(
        "What the witness in {{ $labels.site }} judges by is {{ $value | humanizeDuration }} old."
        " It decides nothing until it can read etcd again, and its vote is missing."
    ),
    runbook="witness-blind",
    when_absent="With the witness: BasculeWitnessMissing.",
    threshold=Threshold(
        value=5,
        unit="seconds",
        source="ten times the age at which a witness stops to decide (dcs_age_s_max, 0.5 s)",
    ),
)

WITNESS_ACTED = AlertRule(
    name="BasculeWitnessActed",
    expr="""\
sum by (cluster) (increase(bascule_witness_acts_total{outcome="done"}[$window])) > 0""",
    for_s=0,
    for_source="an act is done when it is told",
    severity="info",
    summary="the witnesses of {{ $labels.cluster }} have replaced its primary",
    description=(
        "The witnesses of {{ $labels.cluster }} agreed that the primary was dead, and ended its"
        " lease; Patroni has elected another. Find out what became of the old one."
    ),
    runbook="witness-acted",
    when_absent=(
        "The counter begins at 0 with its witness. One that acts and is lost before the next scrape"
        " tells nobody: BasculeTimelineChanged still does."
    ),
    window_s=600,
)

WITNESS_REFUSED = AlertRule(
    name="BasculeWitnessRefused",
    expr="""\
sum by (cluster, reason) (
  increase(bascule_witness_refusals_total{reason!="etcd-unread"}[$window])
) > 0""",
    for_s=0,
    for_source="a primary was suspect at that moment, whatever came after",
    severity="warning",
    summary="a rule ({{ $labels.reason }}) kept the witnesses of {{ $labels.cluster }} from acting",
    description=(
        "A witness of {{ $labels.cluster }} took the primary for dead and was not allowed to vote:"
        " {{ $labels.reason }}. A dead primary would have stayed until the end of its ttl."
    ),
    runbook="witness-refused",
    when_absent=(
        "The counter begins at 0 with its witness. Without etcd nothing is judged at all, so that"
        " reason is left out: BasculeWitnessBlind."
    ),
    window_s=600,
)

WITNESS_ALERTS: tuple[AlertRule, ...] = (
    WITNESS_MISSING,
    WITNESS_BLIND,
    WITNESS_ACTED,
    WITNESS_REFUSED,
)
"""In the order of the rules file."""
