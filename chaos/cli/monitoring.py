"""``bascule monitoring``: alert rules for Prometheus and a dashboard for Grafana."""

from __future__ import annotations

import click

from replication.monitoring import ALERTS, render_rules
from replication.monitoring.alerts.rules_file import RUNBOOKS
from replication.monitoring.dashboard.file import dashboard_json


class Setting(click.ParamType[tuple[str, float]]):
    """``ALERT=NUMBER``."""

    name = "ALERT=NUMBER"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """The alert's name and its threshold."""
        name, _, number = str(value).partition("=")
        tunable = [rule.name for rule in ALERTS if rule.threshold is not None]
        if name not in tunable:
            self.fail(f"{name!r} is none of {', '.join(tunable)}", param, ctx)
        try:
            return name, float(number)
        except ValueError:
            self.fail(f"{number!r} is no number", param, ctx)


@click.group()
def monitoring() -> None:
    """Print alert rules and a dashboard for the metrics of "bascule exporter".

    \b
    bascule monitoring rules > /etc/prometheus/bascule.yml
    bascule monitoring dashboard > bascule.json     (Grafana: Dashboards, New, Import)
    """


@monitoring.command()
@click.option(
    "--runbooks",
    default=RUNBOOKS,
    show_default=True,
    metavar="BASE",
    help="Folder or URL of the runbooks, for the alerts' links.",
)
@click.option(
    "--set",
    "settings",
    type=Setting(),
    multiple=True,
    help="Change a threshold, in bytes or seconds like the rule's own; may be repeated.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    help="Divide every waiting time by this number, to try the rules out in seconds.",
)
def rules(*, runbooks: str, settings: tuple[tuple[str, float], ...], scale: float) -> None:
    """Print the alert rules, as a Prometheus rules file."""
    print(render_rules(runbooks=runbooks, scale=scale, thresholds=dict(settings)), end="")


@monitoring.command()
def dashboard() -> None:
    """Print the dashboard, as JSON for Grafana 11 or later."""
    print(dashboard_json(), end="")
