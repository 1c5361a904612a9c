"""Whether the settings of every node keep its logs as long as the scenario asks.

A drill lasts minutes and a trail must last months: what a drill can judge is what the servers would
do. PostgreSQL itself never deletes a log. It empties one when it rotates by time, onto a file whose
name it has had before, with ``log_truncate_on_rotation`` (manual, 19.8.1; ``syslogger.c``,
``logfile_rotate``: only where the name is another than that of the file before). Whether a job
outside of PostgreSQL deletes logs, no drill can see; that the lines of this drill are still there
at its end, after rewind, new copy and restore, is what the checker ``trail`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from chaos.checkers.base import Checker, Gap
from chaos.checkers.needs import access_file
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, invalid

TRAIL_OVERWRITTEN = FindingKind(
    word="trail-overwritten",
    meaning="INVALID: by its settings a node writes over its logs sooner than the scenario's "
    "``trail_days``.",
    heading="Logs that are not kept long enough",
    proved="nodes would write over their logs too soon",
    undecided="it is not known whether the nodes keep their logs for long enough",
)

SETTINGS = ("log_truncate_on_rotation", "log_rotation_age", "log_filename")
FROM = datetime(2025, 1, 1, tzinfo=UTC)
"""Any day: names are compared over as many days as are asked for, from here on."""
STEP_MIN = timedelta(minutes=1)
"""``log_rotation_age`` is in minutes (manual, 19.8.1)."""


def kept_days(settings: Mapping[str, str], asked_days: float) -> float | None:
    """After how many days a log is written over; None: not within those that are asked for. Pure.

    Args:
        settings: ``SETTINGS``, as ``pg_settings`` has them: the age in minutes.
        asked_days: how far names are compared.
    """
    age = timedelta(minutes=int(settings["log_rotation_age"]))
    if settings["log_truncate_on_rotation"] != "on" or not age:
        return None
    last: dict[str, datetime] = {}
    name, now, end = "", FROM, FROM + timedelta(days=asked_days)
    while now <= end:
        before, name = name, now.strftime(settings["log_filename"])
        if name != before and name in last:
            return (now - last[name]) / timedelta(days=1)
        last[name] = now
        now += max(age, STEP_MIN)
    return None


def check(run: Run) -> list[Finding]:
    """One finding for all nodes, each at every moment at which it was asked."""
    days = run.info.scenario.access.trail_days
    return invalid(
        kind=TRAIL_OVERWRITTEN,
        summary=f"Nodes would write over their logs within {days:g} days: {{n}}.",
        evidence=(
            {
                "t_s": print_.t_s,
                "node": print_.node,
                "moment": print_.moment,
                "kept_days": kept,
                "log_filename": print_.doors["setting log_filename"],
            }
            for print_ in run.access.prints
            if print_.error is None and not _missing(print_.doors)
            for kept in [kept_days(_settings(print_.doors), days)]
            if kept is not None
        ),
    )


def _settings(doors: Mapping[str, str]) -> dict[str, str]:
    return {name: doors[f"setting {name}"] for name in SETTINGS}


def _missing(doors: Mapping[str, str]) -> list[str]:
    return [name for name in SETTINGS if f"setting {name}" not in doors]


def _every_node(run: Run) -> Iterator[Gap]:
    """The settings of every node were taken down at least once."""
    known = {one.node for one in run.access.prints if one.error is None and not _missing(one.doors)}
    for node in run.info.nodes:
        if node not in known:
            yield Gap(what=f"the settings of {node}'s logs are not on record", part="access.jsonl")


CHECKER = Checker(
    name="retention",
    question="By its settings every node keeps its logs as long as is asked.",
    check=check,
    finds=(TRAIL_OVERWRITTEN,),
    needs=(access_file, _every_node),
    is_asked=lambda run: run.info.scenario.access.trail_days > 0,
)
