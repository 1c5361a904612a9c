"""Which results of earlier drills count, and what is drilled next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import promises
import pytest
import scenarios
from promises import digest_of_topology, drillable
from scenarios import MAY_BE_INVALID, MUST_FIND, digest_of_pair, missing, own_topology

from cluster.topology.load import find_topology

ROOT = Path(__file__).parents[3]
PAIR = ("host-loss", own_topology("host-loss"))
DRILLED = scenarios.Told(
    scenario=PAIR[0],
    topology=PAIR[1],
    digest=digest_of_pair(PAIR),
    seed=1,
    verdict="valid",
    rto_s=21.9,
    lost=0,
    acknowledged=5678,
    findings=[],
    rate_per_s=20.0,
    beside=2,
    machine="2 cores",
    day="2026-11-27",
)


def kept(tmp_path: Path, *told: scenarios.Told) -> scenarios.Results:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in told), encoding="utf-8")
    return scenarios.Results(path)


def due(results: scenarios.Results, runs: int = 1) -> Sequence[int]:
    """The seeds that are drilled next, of one pair."""
    return [seed for _, seed in missing([PAIR], runs, results, tries=2, until_s=float("inf"))]


def test_a_drill_counts_while_its_scenario_and_topology_are_what_they_were(tmp_path: Path) -> None:
    assert due(kept(tmp_path)) == [1, 1]  # nobody adds what it was: it stays due
    assert due(kept(tmp_path, DRILLED), runs=2) == [2, 2]
    old = kept(tmp_path, replace(DRILLED, digest="0" * 12))
    assert due(old) == [1, 1]
    assert not old.of(PAIR)
    old.tidy()
    assert not (tmp_path / "results.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("verdict", ["unknown", "invalid"])
def test_a_drill_that_says_nothing_is_run_once_more(tmp_path: Path, verdict: str) -> None:
    unknown = replace(DRILLED, verdict=verdict, findings=["load-too-low"])
    assert scenarios.why_not_as_promised(unknown) == "the machine was too busy to say"
    assert due(kept(tmp_path, unknown)) == [1]
    assert not due(kept(tmp_path, unknown, unknown))
    again = kept(tmp_path, unknown, DRILLED)
    assert not due(again)
    assert again.of(PAIR) == [DRILLED]


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    results = kept(tmp_path)
    results.add(DRILLED)
    assert scenarios.Results(tmp_path / "results.jsonl").of(PAIR) == [DRILLED]
    assert "VALID" in scenarios.page_of(results)


def test_the_page_names_what_is_not_as_promised(tmp_path: Path) -> None:
    invalid = replace(DRILLED, verdict="invalid", findings=["stuck-cluster"])
    page = scenarios.page_of(kept(tmp_path, invalid))
    assert f"`host-loss` on `{PAIR[1]}`, seed 1: INVALID, must be VALID." in page
    assert "Not as promised" not in scenarios.page_of(kept(tmp_path, DRILLED))
    busy = replace(invalid, findings=["load-too-low", "stuck-cluster"])
    page = scenarios.page_of(kept(tmp_path, busy))
    assert "Not as promised" not in page
    assert "To be run again:\n\n- `host-loss`" in page


def test_a_finding_that_hangs_on_a_moment_is_as_promised_and_any_other_is_not() -> None:
    told = replace(DRILLED, scenario="haproxy-loss", topology=own_topology("haproxy-loss"))
    doubtful = replace(told, verdict="invalid", findings=["in-doubt-unresolved"])
    assert not scenarios.why_not_as_promised(doubtful)
    assert "| INVALID, as it may |" in scenarios.row(doubtful.pair, [doubtful])
    lost = replace(doubtful, findings=["in-doubt-unresolved", "lost-acknowledged-write"])
    assert scenarios.why_not_as_promised(lost) == "must be VALID"


def test_a_scenario_that_shows_a_failure_must_show_that_one() -> None:
    told = replace(DRILLED, scenario="fsync-off", topology=own_topology("fsync-off"))
    assert scenarios.why_not_as_promised(told) == "must be INVALID with lost-acknowledged-write"
    other = replace(told, verdict="invalid", findings=["stuck-cluster"])
    assert scenarios.why_not_as_promised(other)
    lost = replace(other, findings=["lost-acknowledged-write", "unit-not-applied-once"])
    assert not scenarios.why_not_as_promised(lost)
    assert "| INVALID, as it must |" in scenarios.row(lost.pair, [lost])
    assert "| INVALID |" in scenarios.row(other.pair, [other])


def test_the_scenarios_that_must_end_invalid_are_those_of_their_page() -> None:
    page = (ROOT / "docs" / "use" / "scenarios.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if "must end INVALID" in row and row.startswith("| `")]
    assert {row.split("`")[1] for row in rows} == MUST_FIND.keys()
    assert not MAY_BE_INVALID.keys() & MUST_FIND.keys()


@pytest.mark.parametrize("words", ["title", "description"])
def test_other_words_are_no_other_drill(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = scenarios.load_scenario("host-loss")
    changed = replace(scenario, **{words: "Other words"})
    monkeypatch.setattr(scenarios, "load_scenario", lambda name: changed)
    assert digest_of_pair.__wrapped__(PAIR) == DRILLED.digest
    harder = replace(scenario, steady_s=scenario.steady_s + 1)
    monkeypatch.setattr(scenarios, "load_scenario", lambda name: harder)
    assert digest_of_pair.__wrapped__(PAIR) != DRILLED.digest


TOPOLOGY = find_topology("two-sites-no-witness")
CLAIMS = drillable(TOPOLOGY)[:3]


def answered(claim: int, word: str, **other: str) -> promises.Told:
    told = promises.Told(
        topology=TOPOLOGY.name,
        digest=digest_of_topology(TOPOLOGY),
        claim=CLAIMS[claim].sentence,
        answer=word,
        primary="db-paris-1",
        why="because",
        seed=1,
        day="2026-11-27",
    )
    return replace(told, **other)  # type: ignore[arg-type]


def test_what_is_answered_of_the_topology_as_it_is_now_is_not_drilled_again(tmp_path: Path) -> None:
    results = promises.Results(tmp_path / "promises.jsonl")
    results.add(answered(0, "confirmed"))
    results.add(answered(1, "confirmed", digest="0" * 12))
    results.add(answered(2, "open"))
    read = promises.Results(tmp_path / "promises.jsonl")
    assert read.told == results.told
    assert read.undecided(CLAIMS, TOPOLOGY, tries=1) == [CLAIMS[1]]
    assert read.undecided(CLAIMS, TOPOLOGY, tries=2) == [CLAIMS[1], CLAIMS[2]]
    read.tidy([TOPOLOGY])
    assert [one.claim for one in promises.Results(tmp_path / "promises.jsonl").told] == [
        CLAIMS[0].sentence,
        CLAIMS[2].sentence,
    ]


def test_the_last_answer_counts_and_the_page_names_what_is_refuted(tmp_path: Path) -> None:
    results = promises.Results(tmp_path / "promises.jsonl")
    results.add(answered(0, "refuted"))
    assert results.refuted(CLAIMS, TOPOLOGY) == [CLAIMS[0]]
    assert f"## Refuted\n\n- `{TOPOLOGY.name}`: {CLAIMS[0].sentence}" in promises.page_of(results)
    results.add(answered(0, "confirmed"))
    assert not results.refuted(CLAIMS, TOPOLOGY)
    assert "## Refuted" not in promises.page_of(results)
