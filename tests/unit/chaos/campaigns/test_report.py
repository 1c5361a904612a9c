"""The reports of a campaign say what its journal says, the same bytes for the same journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from support.evidence.campaigns import BEGAN, a_run

from chaos.campaigns.figures import SEVERAL, Spread, coverage, parts_s, rtos_s, totals
from chaos.campaigns.journal import CampaignJournal, Confirmed, Shrunk, StruckTarget
from chaos.campaigns.report import (
    campaign_sentence,
    cost_sentence,
    render_campaign,
    render_campaign_junit,
)

CANARY = a_run(1, verdict="invalid", is_canary=True)
CUT = a_run(3, fault="site-cut", target="site:orsay", rto_s=31.0)
TWO = replace(
    a_run(4, rto_s=50.0),
    faults=(*a_run(4).faults, StruckTarget(fault="switchover", target="primary")),
)
FAILED = a_run(5, verdict="invalid", rto_s=None)
CONFIRMED = Confirmed(n=5, findings=FAILED.findings, folders=("replays/0005/1",), failed=4, of=5)
SHRUNK = Shrunk(
    n=5,
    schedule="shrunk/0005/shrunk.toml",
    folder="shrunk/0005/07",
    faults=FAILED.faults,
    failed=2,
    of=2,
    runs=12,
)
JOURNAL = CampaignJournal(
    folder=Path("c"),
    began=BEGAN,
    runs=(CANARY, a_run(2), CUT, TWO, FAILED),
    confirmed={5: CONFIRMED},
    shrunk={5: SHRUNK},
)


def test_outages_count_for_a_fault_where_it_was_the_only_one() -> None:
    assert rtos_s(JOURNAL.drawn) == {
        "host-power-cut on primary": [20.0],
        "site-cut on site": [31.0],
        SEVERAL: [50.0],
    }


def test_coverage_counts_faults_and_kinds_of_targets() -> None:
    found = coverage(JOURNAL.drawn)
    assert {struck: dict(counts) for struck, counts in found.items()} == {
        "host-power-cut on primary": {"three-sites": 3},
        "site-cut on site": {"three-sites": 1},
        "switchover on primary": {"three-sites": 1},
    }


def test_the_losses_of_canaries_are_not_counted() -> None:
    found = totals(JOURNAL)
    assert (found.runs, found.canaries, found.found_out) == (4, 1, 1)
    assert (found.lost, found.acknowledged, found.cost_s) == (3, 2000, 9.5)


def test_what_a_run_costs_is_told_of_all_and_of_those_that_had_a_lab() -> None:
    had = [
        replace(a_run(n), cost_s=cost_s, had_lab=True, parts_s={"boot": 0.1, "judged": cost_s})
        for n, cost_s in ((2, 2.0), (3, 4.0))
    ]
    new = replace(a_run(4), cost_s=12.0, parts_s={"boot": 9.0})
    journal = replace(JOURNAL, runs=(CANARY, *had, new))
    assert cost_sentence(journal) == (
        "a run costs 4.0 s (median) beyond its own faults and load; 3.0 s in the lab of the run "
        "before (2 of 3 runs)"
    )
    page = render_campaign(journal)
    assert cost_sentence(journal) in page
    assert "In the lab of the run before" in page
    assert parts_s(had) == {"boot": [0.1, 0.1], "judged": [2.0, 4.0]}
    assert "In a new lab" in page
    broken = replace(JOURNAL, runs=(replace(a_run(2), cost_s=None),))
    assert cost_sentence(broken) == ""


def test_a_spread_of_one_value_is_that_value() -> None:
    assert Spread.of([3.0]) == Spread(count=1, least_s=3.0, median_s=3.0, p90_s=3.0, most_s=3.0)
    assert Spread.of([1.0, 2.0, 9.0]).median_s == 2.0


def test_the_page_links_every_run_and_tells_what_was_shrunk() -> None:
    page = render_campaign(JOURNAL)
    assert page == render_campaign(JOURNAL)
    for run in JOURNAL.runs:
        assert f'href="{run.folder}/report.html"' in page
        assert f'href="{run.schedule}"' in page
    assert 'href="shrunk/0005/shrunk.toml"' in page
    assert "failed 4 of 5" in page
    assert "INVALID: 4 drawn runs: 3 valid, 0 unknown, 1 invalid" in page
    assert "not confirmed" not in page


def test_a_failure_that_no_replay_has_is_said_to_be_unconfirmed() -> None:
    journal = replace(JOURNAL, confirmed={5: replace(CONFIRMED, failed=0)}, shrunk={})
    assert "failed 0 of 5: not confirmed by replay" in render_campaign(journal)


def test_what_comes_from_a_file_is_escaped() -> None:
    run = replace(a_run(2), sentence="<script>", verdict="unknown")
    assert "<script>" not in render_campaign(replace(JOURNAL, runs=(CANARY, run)))


def test_a_campaign_without_a_canary_says_why_it_is_unknown() -> None:
    journal = replace(JOURNAL, runs=(a_run(2),), confirmed={}, shrunk={})
    assert "without a canary nothing proves" in campaign_sentence(journal)
    missed = replace(journal, runs=(replace(CANARY, verdict="valid", findings=()), a_run(2)))
    assert "so losses may have gone unseen" in campaign_sentence(missed)


def test_junit_has_a_case_a_run_and_a_canary_that_was_missed_fails() -> None:
    suite = ET.fromstring(render_campaign_junit(JOURNAL))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "1", "0")
    missed = replace(CANARY, verdict="valid", findings=())
    suite = ET.fromstring(render_campaign_junit(replace(JOURNAL, runs=(missed, a_run(2)))))[0]
    [case] = [one for one in suite.findall("testcase") if one.find("failure") is not None]
    assert case.get("name") == "canary 0001: host-power-cut on primary"
