"""What the report shows, and that nothing in a run folder can make it show something else."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from support.evidence.reported import Reported

from chaos.checkers.exits import UNEXPECTED_EXIT
from chaos.checkers.phantom import PHANTOM_WRITE
from chaos.evidence.events import FaultStruck, PhaseBegan, RoleSeen
from chaos.evidence.run import HostInfo, SiteInfo
from chaos.findings import Finding, Verdict
from chaos.judge.judging import build_verdict
from chaos.report import render_html
from chaos.report.charts.outage import outage_chart, parts, prediction_met
from chaos.report.charts.site_map import site_map
from chaos.report.charts.svg import el, text
from chaos.report.charts.timeline import timeline_chart
from chaos.report.course import failovers, marks, phases, primary_after, primary_before, roles
from chaos.report.findings import EVIDENCE_SHOWN_MAX, FINDINGS_SHOWN_MAX
from chaos.report.html import utc
from chaos.report.limits import limits
from chaos.report.words import predicted_words
from chaos.timing import Prediction, RtoPhase

HOSTILE = '</title><script>alert("1")</script><img src=x onerror=alert(2)>'
STORIES = ("host_loss", "async_loss", "steady", "switchover", "interrupted")
PREDICTION = Prediction(low_s=15, high_s=29, words="w", source="s")


class _Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}:
                self.references.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")


def _parsed(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    return page


@pytest.mark.parametrize("story", STORIES)
def test_it_asks_for_nothing_from_outside(story: str, request: pytest.FixtureRequest) -> None:
    reported: Reported = request.getfixturevalue(story)
    html = reported.html
    page = _parsed(html)
    assert not {"script", "iframe", "object", "embed", "img"} & set(page.tags)
    for reference in page.references:
        assert reference == "data:," or re.fullmatch(r"#?[\w.%/-]+", reference)
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []
    assert set(re.findall(r"https?://[^\s\"<]+", html)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("story", STORIES)
def test_it_is_a_document_in_good_order(story: str, request: pytest.FixtureRequest) -> None:
    reported: Reported = request.getfixturevalue(story)
    page = _parsed(reported.html)
    assert page.headings[0] == "h1"
    assert page.headings.count("h1") == 1
    assert len(page.ids) == len(set(page.ids))
    anchors = {r[1:] for r in page.references if r.startswith("#")}
    assert anchors <= set(page.ids)
    assert reported.html.count("<table") == reported.html.count("<caption")


@pytest.mark.parametrize("story", STORIES)
def test_its_charts_are_well_formed_and_titled(story: str, request: pytest.FixtureRequest) -> None:
    reported: Reported = request.getfixturevalue(story)
    charts = [
        timeline_chart(reported.run, reported.verdict.sites),
        site_map(reported.run, narrow=False),
        site_map(reported.run, narrow=True),
    ]
    for drawn in charts:
        root = ET.fromstring(str(drawn))
        title, description = root[0], root[1]
        assert title.text
        assert description.text
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert "nan" not in str(drawn).lower()


def test_the_same_evidence_gives_the_same_bytes(host_loss: Reported) -> None:
    assert render_html(host_loss.run, host_loss.verdict) == host_loss.html


def test_hostile_names_and_errors_stay_text(host_loss: Reported) -> None:
    run, verdict = host_loss.run, host_loss.verdict
    site = SiteInfo(name=HOSTILE, hosts=(HostInfo(name=HOSTILE, roles=("postgres", HOSTILE)),))
    events = (
        FaultStruck(
            t_s=run.info.started_t_s + 5,
            fault=HOSTILE,
            target=HOSTILE,
            node=HOSTILE,
            detail=HOSTILE,
        ),
        RoleSeen(t_s=run.info.started_t_s + 6, node=HOSTILE, role=HOSTILE, timeline=1),
        PhaseBegan(t_s=run.info.started_t_s + 7, phase=HOSTILE),
    )
    info = replace(
        run.info,
        sites=(*run.info.sites, site),
        command=HOSTILE,
        topology=HOSTILE,
        started_at=HOSTILE,
        scenario=replace(run.info.scenario, title=HOSTILE, description=HOSTILE, name=HOSTILE),
        settings={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
        substrate={"wan": HOSTILE, "data": HOSTILE, "name": "lab"},
    )
    histories = tuple(replace(history, site=HOSTILE) for history in run.histories[:1])
    hostile_run = replace(
        run,
        info=info,
        events=(*run.events, *events),
        histories=histories,
        final_reads=tuple(replace(read, node=HOSTILE) for read in run.final_reads[:1]),
        damage=(HOSTILE,),
    )
    finding = Finding(
        kind=UNEXPECTED_EXIT,
        verdict=Verdict.INVALID,
        summary=HOSTILE,
        evidence=({HOSTILE: HOSTILE, "error": HOSTILE},),
    )
    hostile_verdict = replace(
        verdict,
        verdict=Verdict.INVALID,
        findings=(finding,),
        sites=tuple(replace(one, site=HOSTILE) for one in verdict.sites),
        availability={HOSTILE: 0.5},
    )
    html = render_html(hostile_run, hostile_verdict)
    page = _parsed(html)
    assert not {"script", "img"} & set(page.tags)
    assert page.handlers == []
    assert "&lt;script&gt;" in html


def test_a_long_list_of_evidence_is_cut_and_says_so(async_loss: Reported) -> None:
    lost = async_loss.verdict.lost
    assert lost is not None
    assert 250 < lost < 350
    assert (
        f"Shown are the first {EVIDENCE_SHOWN_MAX} of {lost}; "
        f"the other {lost - EVIDENCE_SHOWN_MAX} are in verdict.json." in async_loss.html
    )


def test_many_findings_are_cut_and_it_says_so(host_loss: Reported) -> None:
    finding = Finding(kind=PHANTOM_WRITE, verdict=Verdict.INVALID, summary="s")
    verdict = replace(host_loss.verdict, findings=(finding,) * (FINDINGS_SHOWN_MAX + 7))
    assert "7 more findings are in" in render_html(host_loss.run, verdict)


def test_moments_in_the_evidence_are_seconds_since_the_start(async_loss: Reported) -> None:
    assert "acknowledged (s)" in async_loss.html
    assert re.search(r"<td>14\.\d{3}</td>", async_loss.html)
    assert "48225." not in async_loss.html


def test_with_gaps_in_the_evidence_silence_is_not_called_proof(
    interrupted: Reported, host_loss: Reported
) -> None:
    assert "could not be looked at: no final read of" in interrupted.html
    held = [checker.name for checker in interrupted.verdict.checkers if not checker.unseen]
    assert held == ["settings", "completeness"]
    assert interrupted.html.count("holds <code>") == 1
    assert host_loss.html.count("holds <code>") == len(host_loss.verdict.checkers)


def test_a_run_without_any_evidence_still_gives_a_report(host_loss: Reported) -> None:
    bare = replace(host_loss.run, events=(), histories=(), final_reads=())
    html = render_html(bare, build_verdict(bare))
    assert "UNKNOWN: the evidence cannot decide" in html
    assert "Nothing was found." not in html
    judged = build_verdict(bare)
    assert judged.split_brain is None, "silence about split brain is no proof"
    assert {checker.verdict for checker in judged.checkers} == {Verdict.UNKNOWN}


def test_many_sites_and_nodes_that_nothing_is_known_of(async_loss: Reported) -> None:
    run = async_loss.run
    more = tuple(
        SiteInfo(
            name=f"a-site-with-a-long-name-{index}",
            hosts=(HostInfo(name=f"db-of-that-site-{index}", roles=("postgres", "etcd")),),
        )
        for index in range(3)
    )
    wide = replace(run, info=replace(run.info, sites=(*run.info.sites, *more)))
    html = render_html(wide, async_loss.verdict)
    assert html.count('class="lane"') == 7


def test_who_was_primary_before_and_after(host_loss: Reported, interrupted: Reported) -> None:
    assert primary_before(host_loss.run) == "db-paris"
    assert primary_after(host_loss.run) == "db-orsay"
    assert failovers(host_loss.run) == (("db-paris", "db-orsay"),)
    assert primary_before(interrupted.run) == "db-paris"
    assert primary_after(interrupted.run) is None, "its host had lost power"


def test_the_course_follows_the_events(host_loss: Reported) -> None:
    spans = phases(host_loss.run)
    assert [span.value for span in spans] == [
        "boot",
        "preflight",
        "steady",
        "fault",
        "recovery",
        "quiesce",
        "final-read",
    ]
    assert all(a.to_s == b.from_s for a, b in itertools.pairwise(spans))
    assert [span.value for span in roles(host_loss.run, "db-paris")] == [
        "starting",
        "primary",
        "unreachable",
        "starting",
        "replica",
    ]


def test_faults_of_one_moment_are_one_mark(async_loss: Reported) -> None:
    assert [(mark.words, mark.is_heal) for mark in marks(async_loss.run)] == [
        ("link cut: db-orsay, db-saint-cloud", False),
        ("power cut: db-paris", False),
        ("link back: db-orsay, db-saint-cloud", True),
        ("power back: db-paris", True),
    ]


def test_the_parts_of_the_outage_stand_end_to_end() -> None:
    found = parts({"to_new_leader_key": 0.3, "fault_to_leader_key_gone": 18.0})
    assert [(p.name, p.from_s, p.to_s) for p in found] == [
        ("fault_to_leader_key_gone", 0.0, 18.0),
        ("to_new_leader_key", 18.0, 18.3),
    ]
    assert str(outage_chart({}, PREDICTION, narrow=True)) == ""


@pytest.mark.parametrize(
    ("total_s", "words"),
    [(20.0, "Within the prediction."), (31.5, "Longer than"), (9.0, "Shorter than")],
)
def test_the_outage_is_held_against_the_prediction(total_s: float, words: str) -> None:
    assert prediction_met({"fault_to_leader_key_gone": total_s}, PREDICTION).startswith(words)


def test_a_prediction_without_numbers_is_said_in_words() -> None:
    until = replace(PREDICTION, low_s=60.0, high_s=94.0, service="none-until-healed")
    assert predicted_words(until) == "no service until healed"
    assert predicted_words(replace(until, service="goes-on")) == "service goes on"
    assert predicted_words(PREDICTION) == "15.0 to 29.0\u00a0s"
    parts_s: dict[RtoPhase, float] = {"fault_to_leader_key_gone": 71.0}
    assert "no service until healed" in str(outage_chart(parts_s, until, narrow=True))


def test_limits_follow_the_substrate() -> None:
    lab = " ".join(limits({"name": "lab", "data": "tmpfs", "wan": "no delay"}))
    assert "tmpfs" in lab
    assert "without added delay" in lab
    slow = " ".join(limits({"name": "lab", "data": "ext4", "wan": "rtt 10 ms"}))
    assert "rtt 10 ms" in slow
    assert "ext4" in slow
    assert "tmpfs" not in slow
    forgetful = " ".join(limits({"name": "lab", "data": "layered", "wan": "no delay"}))
    assert "with the power went what was not synced" in forgetful
    assert "are still there" not in forgetful
    assert "not on record" in " ".join(limits({}))


def test_the_start_is_told_in_utc() -> None:
    assert utc("2026-11-24T03:50:00.000Z") == "2026-11-24 03:50:00 UTC"
    assert utc("2026-11-24T04:50:00+01:00") == "2026-11-24 03:50:00 UTC"
    assert utc("yesterday") == "yesterday"


def test_svg_escapes_texts_and_attributes() -> None:
    assert (
        str(text(1.0, 2.5, "a<b>", class_='"'))
        == '<text x="1" y="2.5" class="&#34;">a&lt;b&gt;</text>'
    )
    assert str(el("g", fill=None, stroke_width=1.005)) == '<g stroke-width="1"/>'
