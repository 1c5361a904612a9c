"""``report.html``: one self-contained file, from the evidence and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from chaos.evidence.events import FaultStruck, SettingsFound
from chaos.evidence.records import Scalar
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.verdict_file import VerdictFile
from chaos.report.access import COLUMNS, ProbeRow, access_lines, probe_rows
from chaos.report.charts.outage import outage_chart, prediction_met
from chaos.report.charts.site_map import site_map
from chaos.report.charts.timeline import timeline_chart
from chaos.report.chronicle import ENTRIES_MAX, ChronicleEntry, chronicle
from chaos.report.figures import Figure, SiteRow, key_figures, site_rows
from chaos.report.findings import (
    CheckView,
    FindingView,
    check_views,
    finding_views,
    findings_left_out,
    is_whole,
    summary_line,
)
from chaos.report.limits import limits
from chaos.report.reads import ReadRow, behind_words, read_rows
from chaos.report.sentence import verdict_sentence
from chaos.report.words import VERDICT_SYMBOL, manifest_words
from chaos.timing import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLink:
    """A file of the run folder and what it holds (docs/reference/run-folder.md)."""

    href: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestView:
    """Whether the evidence is what it was when the drill ended."""

    sha256: str
    """Empty where there is no manifest."""
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template sets. Texts are escaped there; ``Markup`` is drawn as it is."""

    style: Markup
    title: str
    description: str
    word: str
    symbol: str
    sentence: str
    findings_in_words: str
    started_at: str
    scenario: str
    workload: str
    topology: str
    seed: int
    figures: tuple[Figure, ...]
    map_wide: Markup
    map_narrow: Markup
    timeline: Markup
    outage_wide: Markup
    outage_narrow: Markup
    is_struck: bool
    prediction_met: str
    prediction_words: str
    prediction_source: str
    sites: tuple[SiteRow, ...]
    reads: tuple[ReadRow, ...]
    reads_behind: str
    probes: tuple[ProbeRow, ...]
    probe_columns: tuple[str, ...]
    access_lines: tuple[str, ...]
    findings: tuple[FindingView, ...]
    findings_left_out: int
    checks: tuple[CheckView, ...]
    checks_passed: int
    checks_verb: str
    chronicle: tuple[ChronicleEntry, ...]
    chronicle_left_out: int
    limits: tuple[str, ...]
    damage: tuple[str, ...]
    manifest: ManifestView
    command: str
    expectations: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    in_force: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    substrate: tuple[tuple[str, str], ...]
    files: tuple[FileLink, ...]


def render_html(run: Run, verdict: VerdictFile) -> str:
    """The text of ``report.html``; the same evidence gives the same bytes."""
    page = compose_page(run, verdict)
    return _template().render({item.name: getattr(page, item.name) for item in fields(page)})


def compose_page(run: Run, verdict: VerdictFile) -> Page:
    """Gathers what the page shows."""
    info = run.info
    told = chronicle(run)
    said = verdict.rto_predicted_s
    prediction = said.of_rto if said else None
    return Page(
        style=style_sheet(),
        title=info.scenario.title,
        description=info.scenario.description,
        word=verdict.verdict.word,
        symbol=VERDICT_SYMBOL[verdict.verdict],
        sentence=verdict_sentence(run, verdict),
        findings_in_words=summary_line(verdict.findings),
        started_at=utc(info.started_at),
        scenario=info.scenario.name,
        workload=info.scenario.workload.kind,
        topology=info.topology,
        seed=info.seed,
        figures=key_figures(run, verdict),
        map_wide=site_map(run, narrow=False),
        map_narrow=site_map(run, narrow=True),
        timeline=timeline_chart(run, verdict.sites),
        outage_wide=outage_chart(verdict.rto_phases_s, prediction, narrow=False),
        outage_narrow=outage_chart(verdict.rto_phases_s, prediction, narrow=True),
        is_struck=bool(run.events_of(FaultStruck)),
        # The outage may have gone on within a gap of the record.
        prediction_met=prediction_met(verdict.rto_phases_s, prediction)
        if is_whole(verdict)
        else "",
        prediction_words=_prediction_words(said),
        prediction_source=prediction.source if prediction else "",
        sites=site_rows(verdict),
        reads=read_rows(verdict.reads),
        reads_behind=behind_words(verdict.reads) if verdict.reads else "",
        probes=probe_rows(verdict.access),
        probe_columns=tuple(COLUMNS.values()),
        access_lines=access_lines(verdict.access) if verdict.access else (),
        findings=finding_views(verdict, info.started_t_s),
        findings_left_out=findings_left_out(verdict),
        checks=check_views(verdict),
        checks_passed=sum(c.verdict is Verdict.VALID for c in verdict.checkers),
        checks_verb="hold",
        chronicle=told[:ENTRIES_MAX],
        chronicle_left_out=max(len(told) - ENTRIES_MAX, 0),
        limits=limits(info.substrate, info.scenario.workload.kind),
        damage=run.damage,
        manifest=_manifest(run),
        command=info.command,
        expectations=_expectations(run),
        settings=_pairs(info.settings),
        in_force=_in_force(run),
        versions=_pairs(info.versions),
        substrate=_pairs(info.substrate),
        files=_files(run),
    )


def _prediction_words(said: Prediction | None) -> str:
    if said is None:
        return ""
    return f"{said.elsewhere.words} {said.words}" if said.elsewhere else said.words


def utc(started_at: str) -> str:
    """``2026-11-24 03:50:00 UTC``; a text that is no time stands as it is."""
    try:
        moment = datetime.fromisoformat(started_at)
    except ValueError:
        return started_at
    if moment.utcoffset() is None:
        return started_at
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _expectations(run: Run) -> tuple[tuple[str, str], ...]:
    scenario = run.info.scenario
    failover = {
        "must": "must happen",
        "may": "may happen",
        "must-not": "must not happen",
        "not-while-broken": "must not happen before the heal",
    }
    return (
        ("outage of a site", f"at most {scenario.expect.rto_s_max:g} s"),
        ("lost entries", f"at most {scenario.expect.lost_max:,}"),
        ("failover", failover[scenario.expect.failover]),
        ("whole again after heal", f"within {scenario.recovery_s_max:g} s"),
    )


def _in_force(run: Run) -> tuple[tuple[str, str], ...]:
    """What was found in force just before the steady state, if it was looked at."""
    found = run.events_of(SettingsFound)
    return _pairs(found[-1].in_force) if found else ()


def _pairs(values: Mapping[str, Scalar] | Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, "none" if value is None else str(value) or "(empty)")
        for name, value in values.items()
    )


def _manifest(run: Run) -> ManifestView:
    manifest = run.manifest
    return ManifestView(
        sha256="" if manifest is None else manifest.sha256, words=manifest_words(manifest)
    )


def _files(run: Run) -> tuple[FileLink, ...]:
    sites = [history.site for history in run.histories]
    nodes = [read.node for read in run.final_reads]
    return (
        FileLink(href="verdict.json", words="the verdict with the whole evidence"),
        FileLink(href="run.json", words="what was asked, of what, with which versions"),
        FileLink(href="topology.toml", words="the topology as it was used"),
        FileLink(href="events.jsonl", words="what happened, in order"),
        *(
            FileLink(href=f"history-{quote(s)}.jsonl", words=f"every operation of {s}")
            for s in sites
        ),
        *(
            FileLink(href=f"reads-{quote(found.site)}.jsonl", words=f"what {found.site} read")
            for found in run.reads
        ),
        *(
            [FileLink(href="access.jsonl", words="every probe, right and door of every node")]
            if run.asks_access
            else []
        ),
        *(
            FileLink(href=f"final-{quote(n)}.jsonl", words=f"what {n} held at the end")
            for n in nodes
        ),
        FileLink(href="config/", words="the configuration of every etcd and Patroni"),
        FileLink(href="logs/", words="the log of every process"),
        *(
            [FileLink(href="manifest.json", words="the SHA-256 of every file of the evidence")]
            if run.manifest
            else []
        ),
        FileLink(href="junit.xml", words="the verdict for CI systems"),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("chaos", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


@cache
def style_sheet() -> Markup:
    """The style sheet, ours and without ``<``, so that it can stand in the page as it is."""
    return Markup(resources.files("chaos.report").joinpath("report.css").read_text("utf-8"))
