"""The row of the dashboard on witnesses, which is empty where there are none. Values."""

from __future__ import annotations

from replication.monitoring.alerts.witness import WITNESS_BLIND
from replication.monitoring.dashboard.panel import (
    CLUSTER,
    MEMBERS,
    Panel,
    PanelRow,
    PromQuery,
    Step,
)
from replication.monitoring.dashboard.replica import alert_line

WITNESSES = PanelRow(
    title="Witnesses",
    panels=(
        Panel(
            title="Missing",
            description=(
                "Sites that should have a witness and whose key is not in etcd. Without a majority"
                " a dead primary is replaced only at the end of its ttl."
            ),
            kind="stat",
            queries=(
                PromQuery(
                    expr=f"max(bascule_witness_sites{{{CLUSTER}}})"
                    f" - min(bascule_witness_peers{{{CLUSTER}}})"
                ),
            ),
            unit="none",
            steps=(Step(value=None, colour="green"), Step(value=1, colour="red")),
            width=4,
        ),
        Panel(
            title="Primaries replaced",
            description="Leases that witnesses ended, in the range shown.",
            kind="stat",
            queries=(
                PromQuery(
                    expr=f"round(sum(increase("
                    f'bascule_witness_acts_total{{{CLUSTER}, outcome="done"}}[$__range])))'
                ),
            ),
            unit="none",
            steps=(Step(value=None, colour="green"), Step(value=1, colour="purple")),
            width=4,
        ),
        Panel(
            title="Silence of each member",
            description=(
                "How long neither Patroni nor PostgreSQL has answered, as the witness of each site"
                " sees it. One site alone sees its own network."
            ),
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (member, site)"
                    f" (bascule_witness_member_silent_seconds{{{MEMBERS}}})",
                    legend="{{member}}, seen from {{site}}",
                ),
            ),
            unit="s",
            width=8,
        ),
        Panel(
            title="Age of the keys they judge by",
            description=(
                "A witness whose keys are older than half a second decides nothing. The line is the"
                " alert's threshold."
            ),
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"max by (site) (bascule_witness_dcs_age_seconds{{{MEMBERS}}})",
                    legend="{{site}}",
                ),
            ),
            unit="s",
            steps=alert_line(WITNESS_BLIND),
            width=8,
        ),
        Panel(
            title="Suspicions, by case",
            description=(
                "Leases that a witness came to suspect. Those that no act followed were alone in"
                " it, or a rule forbade to act."
            ),
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"sum by (case)"
                    f" (increase(bascule_witness_suspicions_total{{{MEMBERS}}}[$__rate_interval]))",
                    legend="{{case}}",
                ),
                PromQuery(
                    expr=f"sum(increase(bascule_witness_stalls_total{{{MEMBERS}}}"
                    "[$__rate_interval]))",
                    legend="a witness itself stood still",
                ),
            ),
            unit="none",
            width=8,
        ),
        Panel(
            title="Refusals to act, by reason",
            description="A primary was suspect, and a rule forbade to replace it.",
            kind="timeseries",
            queries=(
                PromQuery(
                    expr=f"sum by (reason)"
                    f" (increase(bascule_witness_refusals_total{{{MEMBERS}}}[$__rate_interval]))",
                    legend="{{reason}}",
                ),
            ),
            unit="none",
            width=8,
        ),
        Panel(
            title="From the last answer to the end of the lease",
            description="The median and the worst of what was replaced in the range shown.",
            kind="timeseries",
            queries=tuple(
                PromQuery(
                    expr=f"histogram_quantile({quantile}, sum by (le) (increase("
                    f"bascule_witness_detection_seconds_bucket{{{CLUSTER}}}[$__range])))",
                    legend=legend,
                )
                for quantile, legend in ((0.5, "median"), (1, "worst"))
            ),
            unit="s",
            width=8,
        ),
    ),
)
