"""How drills try the sentences of the linter, and what evidence confirms or refutes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from promise_trials import Answer, Trial, answers_of, scenario_of, trials_of
from support.evidence.tiny import event, load, run

from chaos.evidence.events import FaultHealed, FaultStruck, RunEvent
from chaos.evidence.records import Operation
from chaos.evidence.run import HostInfo, Run, SiteInfo
from chaos.scenarios.load import load_scenario
from cluster.topology.lint import Claim, lint
from cluster.topology.load import find_topology
from cluster.topology.model import Topology

THREE = find_topology("three-sites-failsafe")
TWO = find_topology("two-sites-no-witness")
NAMED = find_topology("two-sites-named-standby")
STRUCK_S, HEALED_S = 12.0, 49.0


def claim_of(topology: Topology, words: str) -> Claim:
    [claim] = [one for one in lint(topology).claims if one.loss.words == words]
    return claim


def tried(
    topology: Topology,
    words: str,
    operations: Sequence[Operation],
    events: Sequence[RunEvent] | None = None,
    primary: str = "db-paris",
) -> Answer:
    [trial] = trials_of([claim_of(topology, words)], topology)
    found = brought_about(trial, STRUCK_S, primary) if events is None else events
    [answer] = answers_of([trial], topology, recorded(topology, operations, found))
    return answer


def recorded(
    topology: Topology, operations: Sequence[Operation], events: Sequence[RunEvent]
) -> Run:
    """A run on a topology."""
    found = run(operations, events=events)
    sites = tuple(
        SiteInfo(
            name=site.name,
            hosts=tuple(HostInfo(name=host.name, roles=host.roles) for host in site.hosts),
        )
        for site in topology.sites
    )
    return replace(found, info=replace(found.info, sites=sites))


def brought_about(trial: Trial, at_s: float, primary: str = "db-paris") -> list[RunEvent]:
    """What a drill records of a trial of which everything was done."""
    strokes = [aimed.recorded for aimed in trial.strokes]
    return [
        event(at_s - 8, "fault", fault="failover-by-hand", target="cluster"),
        event(at_s - 7, "role", node=primary, role="primary", timeline=1),
        *(event(at_s, "fault", fault=fault, target=target) for fault, target in strokes),
        *(event(at_s + 37, "heal", fault=fault, target=target) for fault, target in strokes),
    ]


def served(*sites: str, from_s: float, to_s: float = HEALED_S) -> list[Operation]:
    """Some sites write in a stretch; every site does before the loss."""
    before = [op for site in ("paris", "orsay", "saint-cloud") for op in load(0, 12, site=site)]
    return before + [op for site in sites for op in load(from_s, to_s, site=site)]


def test_a_loss_that_every_other_site_survives_is_confirmed() -> None:
    """Those that are cut off may be served until their primary gives up, a ttl after the cut."""
    operations = served("orsay", "saint-cloud", from_s=35) + load(12, 30, site="paris")
    answer = tried(THREE, "site paris (cut off)", operations)
    assert (answer.word, answer.primary) == ("confirmed", "db-paris")
    assert answer.why == "with db-paris in the lead orsay, saint-cloud could write"


def test_a_site_that_is_not_served_refutes_it() -> None:
    answer = tried(THREE, "site paris (cut off)", served("orsay", from_s=35))
    assert (answer.word, answer.why) == ("refuted", "saint-cloud was not served in 37 s")


def test_a_site_that_is_served_in_spite_of_the_claim_refutes_it() -> None:
    words, primary = "site paris (power)", "db-orsay-1"
    assert tried(TWO, words, served(from_s=0), primary=primary).word == "confirmed"
    answer = tried(TWO, words, served("orsay", from_s=40), primary=primary)
    assert (answer.word, answer.why) == (
        "refuted",
        "orsay was served 28.0 s after it, and cannot be",
    )


def test_a_standby_that_was_spared_leaves_it_open() -> None:
    words = "hosts db-paris-1 and db-paris-2"
    claim = claim_of(NAMED, words)
    assert not claim.survives
    answer = tried(NAMED, words, served("paris", "orsay", from_s=35), primary=claim.worst.primary)
    assert answer.word == "open"
    assert "a standby that Patroni had named was spared" in answer.why


def test_a_primary_that_is_not_the_worst_leaves_it_open() -> None:
    """The loss of a replica says nothing of the loss of the primary, though both are survived."""
    sites = ("paris", "orsay", "saint-cloud")
    answer = tried(THREE, "host db-paris", served(*sites, from_s=12), primary="db-orsay")
    assert answer.word == "open"
    assert answer.why.endswith("; db-paris in the lead would be worse")
    assert tried(THREE, "host db-paris", served(*sites, from_s=35)).word == "confirmed"


@pytest.mark.parametrize("missing", [FaultStruck, FaultHealed])
def test_a_loss_that_was_not_brought_about_says_nothing(missing: type[RunEvent]) -> None:
    words = "hosts db-paris and dcs-paris"
    [trial] = trials_of([claim_of(THREE, words)], THREE)
    events = brought_about(trial, STRUCK_S)
    events = [one for one in events if not isinstance(one, missing) or one.t_s < STRUCK_S]
    answer = tried(THREE, words, served(from_s=0), events)
    assert (answer.word, answer.why) == ("open", "not all of it was brought about")


def test_trials_of_one_drill_are_told_apart_by_their_order() -> None:
    """The same host is struck in two of them; the second did not come to its heal."""
    claims = [claim_of(THREE, words) for words in ("host db-paris", "hosts db-paris and dcs-paris")]
    first, second = trials_of(claims, THREE)
    events = brought_about(first, STRUCK_S) + brought_about(second, 80.0)
    events = [one for one in events if one.t_s < 100]
    sites = ("paris", "orsay", "saint-cloud")
    found = recorded(THREE, served(*sites, from_s=35), events)
    answers = answers_of([first, second], THREE, found)
    assert [one.word for one in answers] == ["confirmed", "open"]


def test_each_trial_waits_for_a_whole_cluster_and_its_worst_primary(tmp_path: Path) -> None:
    claims = [claim_of(THREE, words) for words in ("host db-orsay", "hosts db-paris and dcs-paris")]
    trials = list(trials_of(claims, THREE))
    path = tmp_path / "scenario.toml"
    path.write_text(scenario_of(trials, THREE, rest_s=7), encoding="utf-8")
    steps = load_scenario(str(path)).faults
    assert [(str(step.target), step.on, step.after_s, step.heal_after_s) for step in steps] == [
        ("cluster", None, 0.0, None),
        ("host:db-orsay", "whole", 7.0, 37.0),
        ("cluster", "whole", 7.0, None),
        ("host:db-paris", "whole", 7.0, 37.0),
        ("host:dcs-paris", "struck", 0.0, 37.0),
    ]


def test_the_host_of_a_client_cannot_be_lost_in_a_drill() -> None:
    assert not list(trials_of([claim_of(THREE, "host app-paris")], THREE))
