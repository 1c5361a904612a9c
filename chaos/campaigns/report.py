"""The report of a campaign: ``report.html`` for people, ``junit.xml`` for CI systems.

Drawn from the journal alone; each run has its own report beside its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from chaos.campaigns.figures import (
    CampaignTotals,
    Spread,
    coverage,
    outages_s,
    parts_s,
    rtos_s,
    totals,
    worst,
)
from chaos.campaigns.journal import CampaignJournal, RunDone, was_found_out
from chaos.campaigns.spread_chart import spread_chart
from chaos.evidence.manifest import JUNIT, REPORT
from chaos.evidence.whole_file import write_whole
from chaos.findings import Verdict
from chaos.report.html import style_sheet, utc
from chaos.report.junit import clean
from chaos.report.words import VERDICT_SYMBOL
from chaos.wording import counted

CAMPAIGN_REPORT = REPORT
SYMBOLS = {verdict.word: symbol for verdict, symbol in VERDICT_SYMBOL.items()}


def write_campaign_reports(journal: CampaignJournal) -> tuple[Path, ...]:
    """Draw the reports into the folder of the campaign; their paths.

    Raises:
        OSError: one cannot be written.
    """
    html, junit = journal.folder / CAMPAIGN_REPORT, journal.folder / JUNIT
    write_whole(html, render_campaign(journal))
    write_whole(junit, render_campaign_junit(journal))
    return html, junit


def campaign_sentence(journal: CampaignJournal) -> str:
    """The verdict of a campaign in one sentence."""
    found = totals(journal)
    runs = counted(found.runs, "drawn run")
    canaries = counted(found.canaries, "canary", "canaries")
    seen = f"{found.found_out} of {canaries} found out"
    lost = f"{found.lost:,} of {counted(found.acknowledged, 'acknowledged write')} lost"
    ended = f"{found.valid} valid, {found.unknown} unknown, {found.invalid} invalid"
    return f"{journal.verdict.name}: {runs}: {ended}; {lost}; {seen}{_doubt(journal, found)}."


def _doubt(journal: CampaignJournal, found: CampaignTotals) -> str:
    """Why a campaign in which nothing was found is UNKNOWN all the same."""
    if journal.verdict is not Verdict.UNKNOWN or found.unknown:
        return ""
    if not found.canaries:
        return "; without a canary nothing proves that losses would have been seen"
    return "" if found.found_out == found.canaries else "; so losses may have gone unseen"


def cost_sentence(journal: CampaignJournal) -> str:
    """What a run costs beside its own faults and load; empty: no run says."""
    found = totals(journal)
    if found.cost_s is None:
        return ""
    words = f"a run costs {found.cost_s:.1f} s (median) beyond its own faults and load"
    if found.had_lab_cost_s is not None:
        several = f"{found.had_lab} of {counted(found.runs, 'run')}"
        words += f"; {found.had_lab_cost_s:.1f} s in the lab of the run before ({several})"
    return words


def render_campaign(journal: CampaignJournal) -> str:
    """The text of ``report.html``; the same journal gives the same bytes."""
    runs = journal.drawn
    causes, sites = rtos_s(runs), outages_s(runs)
    rows: list[tuple[str, Mapping[str, Spread]]] = [
        ("RTO by fault", {cause: Spread.of(values) for cause, values in causes.items()})
    ]
    rows += [
        (f"Outages by site, {topology}", {site: Spread.of(s) for site, s in by_site.items()})
        for topology, by_site in sites.items()
    ]
    return _template().render(
        style=style_sheet(),
        word=journal.verdict.word,
        symbol=VERDICT_SYMBOL[journal.verdict],
        sentence=campaign_sentence(journal),
        cost=cost_sentence(journal),
        began=journal.began,
        started_at=utc(journal.began.started_at),
        totals=totals(journal),
        failing=[run for run in runs if run.verdict != Verdict.VALID.word],
        canaries=[(run, was_found_out(run)) for run in journal.canaries],
        confirmed=journal.confirmed,
        shrunk=journal.shrunk,
        rto_chart=spread_chart("rto", causes, "RTO of the runs, by fault"),
        spreads=rows,
        worst=worst(runs),
        coverage=coverage(runs),
        parts=[
            (heading, {phase: Spread.of(s) for phase, s in parts_s(some).items()})
            for heading, some in (
                ("In the lab of the run before", [run for run in runs if run.had_lab]),
                ("In a new lab", [run for run in runs if not run.had_lab]),
            )
        ],
        runs=journal.runs,
        symbols=SYMBOLS,
        report=REPORT,
    )


def render_campaign_junit(journal: CampaignJournal) -> str:
    """The text of ``junit.xml``: a test case a run. A canary fails where it was not found out."""
    cases = [(run, _fault_of(run)) for run in journal.runs]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(tag == "failure" for _, tag in cases)),
        "errors": str(sum(tag == "error" for _, tag in cases)),
        "time": f"{journal.took_s:.1f}",
    }
    root = ET.Element("testsuites", {"name": "bascule campaign", **counts})
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": f"bascule.campaign.{journal.began.seed}",
            **counts,
            "skipped": "0",
            "timestamp": clean(journal.began.started_at),
        },
    )
    for run, tag in cases:
        what = ", ".join(str(one) for one in run.faults)
        kind = "canary" if run.is_canary else "run"
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": f"bascule.campaign.{run.topology}",
                "name": clean(f"{kind} {run.n:04}: {what}"),
                "time": f"{run.took_s:.1f}",
            },
        )
        if tag:
            attributes = {"type": ", ".join(run.findings), "message": clean(run.sentence)}
            ET.SubElement(case, tag, attributes).text = clean(f"{run.folder}, {run.schedule}")
    ET.SubElement(suite, "system-out").text = clean(campaign_sentence(journal))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _fault_of(run: RunDone) -> str:
    """``failure``, ``error``, or empty where a run ended as it must."""
    if run.is_canary:
        return "" if was_found_out(run) else "failure"
    return {"valid": "", "unknown": "error", "invalid": "failure"}[run.verdict]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("chaos", "campaigns"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("campaign.html.j2")
